"""The Spark session of a task."""

import atexit
import os
import sys

from pyspark.sql import SparkSession

from components.lake.class_archive import class_archive_options
from components.settings import Settings
from components.storage import Access
from components.workers.budget import Budget

# Rows handed to Python at a time. Photographs are megabytes each: Spark's default of 10,000 rows would need gigabytes.
PYTHON_BATCH_ROWS = 64

_KUBERNETES = "k8s://"


def spark_session(settings: Settings, workers_decode: bool = True) -> SparkSession:
    """Return the process' Spark session, made for Delta tables and for rows that hold whole images.

    Args:
        settings: Name Spark's master, and hold the access to the stores.
        workers_decode: Whether images are decoded in Python workers: they have TensorFlow then, which takes seconds.
    """
    # Workers run this task's Python: executors are of the same image, and on a laptop `python3` is some other one.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder
    on_kubernetes = settings.spark_master.startswith(_KUBERNETES)
    if on_kubernetes:
        from components.lake.executors import executor_configuration

        builder = builder.config(map=executor_configuration(settings))
    session = (
        builder.master(settings.spark_master)
        .appName("image-pipelines")
        .config(map=_driver(settings) | _delta() | _images() | _workers(workers_decode) | _quiet())
        .getOrCreate()
    )
    # Not by the builder, which puts all that it is given on the command line of the JVM, for everybody to see.
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in Access.of(settings).hadoop_configuration().items():
        hadoop.set(name, value)
    session.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", Budget.of(session).batch_bytes)
    if on_kubernetes:
        # A pod ends with its first process: Spark's own hook would not come to delete the executors.
        atexit.register(session.stop)
    return session


def _driver(settings: Settings) -> dict[str, str]:
    return {
        "spark.driver.memory": settings.spark_driver_memory,
        "spark.driver.extraJavaOptions": f"{class_archive_options()} {settings.spark_driver_java_options}",
    }


def _delta() -> dict[str, str]:
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
        # Delta takes file:///lake and Hadoop's own spelling of it, file:/lake, for two places.
        "spark.databricks.delta.legacy.allowAmbiguousPathsInCreateTable": "true",
    }


def _images() -> dict[str, str]:
    return {
        "spark.sql.session.timeZone": "UTC",
        # By the default a file counts for 4 MB more than it has, and a task would get no more than 32 images.
        "spark.sql.files.openCostInBytes": str(2**20),
        # By the default each file of a batch is looked at by a task of its own, which unpacks Hadoop's settings first.
        # As many tasks as all executors together have cores by default.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(PYTHON_BATCH_ROWS),
        "spark.sql.parquet.columnarReaderBatchSize": str(PYTHON_BATCH_ROWS),
        "spark.sql.shuffle.partitions": "8",
        # The default looks for a checksum beside each file, and can't where a name has a colon, as a time has.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    }


def _workers(decode: bool) -> dict[str, str]:
    return {"spark.python.daemon.module": "components.workers.daemon"} if decode else {}


def _quiet() -> dict[str, str]:
    return {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
