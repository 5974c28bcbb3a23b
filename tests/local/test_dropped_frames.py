"""A frame that is out of use does not stay in the driver's memory."""

import subprocess
import sys
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from components.lake.ingests import ingest_slices
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_FRAMES = 600
# In a process of its own: modules that other tests load later would count as objects of the session.
_MAKE_AND_DROP_FRAMES = f"""
import weakref
from components.settings import Settings
from components.spark.session import spark_session

spark = spark_session(Settings.load(spark_master="local[1]"))
frames = [weakref.ref(spark.range(number).selectExpr("id + 1")._jdf) for number in range({_FRAMES})]
print(sum(frame() is not None for frame in frames))
"""


def test_dropped_frames_are_freed_soon() -> None:
    made = subprocess.run(
        [sys.executable, "-c", _MAKE_AND_DROP_FRAMES], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert int(made.stdout.split()[-1]) < _FRAMES / 2


def test_slices_of_ingests_leave_no_job_in_the_scheduler(spark: "SparkSession") -> None:
    images = spark.range(100).selectExpr("timestamp_seconds(id % 10) AS ingested_at")
    jobs = spark.sparkContext._jsc.sc().dagScheduler().activeQueryToJobs()
    before = jobs.size()

    slices = list(ingest_slices(images, F.count("*"), 30))

    assert [[time // 1_000_000 for time in times] for times in slices] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert jobs.size() == before
