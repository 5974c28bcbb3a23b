"""The Spark session of a task."""

import os
import sys

from pyspark.sql import SparkSession

from components.settings import Settings

# Rows handed to Python at a time. Photographs are megabytes each: Spark's default of 10,000 rows would need gigabytes.
PYTHON_BATCH_ROWS = 64

_KUBERNETES = "k8s://"


def spark_session(settings: Settings) -> SparkSession:
    """Return the process' Spark session, made for Delta tables and for rows that hold whole images."""
    # Workers run this task's Python: executors are of the same image, and on a laptop `python3` is some other one.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder
    if settings.spark_master.startswith(_KUBERNETES):
        from components.lake.executors import executor_configuration

        builder = builder.config(map=executor_configuration(settings))
    return (
        builder.master(settings.spark_master)
        .appName("image-pipelines")
        .config("spark.driver.memory", settings.spark_driver_memory)
        .config("spark.driver.extraJavaOptions", settings.spark_driver_java_options)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", PYTHON_BATCH_ROWS)
        .config("spark.sql.parquet.columnarReaderBatchSize", PYTHON_BATCH_ROWS)
        .config("spark.sql.shuffle.partitions", 8)
        .config("spark.databricks.delta.snapshotPartitions", 2)
        # Delta takes file:///lake and Hadoop's own spelling of it, file:/lake, for two places.
        .config("spark.databricks.delta.legacy.allowAmbiguousPathsInCreateTable", "true")
        .config("spark.ui.enabled", "false")
        .config("spark.ui.showConsoleProgress", "false")
        .getOrCreate()
    )
