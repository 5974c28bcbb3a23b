"""Slices of ingests, and what they leave behind in Spark."""

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from components.lake.ingests import ingest_slices

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_slices_of_ingests_leave_no_job_in_the_scheduler(spark: "SparkSession") -> None:
    images = spark.range(100).selectExpr("timestamp_seconds(id % 10) AS ingested_at")
    jobs = spark.sparkContext._jsc.sc().dagScheduler().activeQueryToJobs()
    before = jobs.size()

    slices = list(ingest_slices(images, F.count("*"), 30))

    assert [[time // 1_000_000 for time in times] for times in slices] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert jobs.size() == before
