"""The Spark session of a task."""

import atexit
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark import SparkContext
from pyspark.logger import PySparkLogger
from pyspark.sql import SparkSession

from components.settings import Settings
from components.spark.class_archive import class_archive_options
from components.spark.file_names import use_utf8_names
from components.spark.memory_budget import Budget
from components.storage.access import Access

# Rows per batch in Python. A photograph has megabytes: Spark's default of 10,000 rows would need gigabytes.
PYTHON_BATCH_ROWS = 64

_KUBERNETES = "k8s://"
_LOCAL = "local"
_LOG4J = Path(__file__).with_name("log4j2.properties")


def spark_session(settings: Settings, workers_decode: bool = True) -> SparkSession:
    """Return the process's Spark session, configured for Delta tables and for rows that hold whole images.

    Idempotent. If the JVM of an earlier session died, or its context was stopped, this starts a new session.

    Args:
        settings: Name Spark's master, and hold the access to the stores.
        workers_decode: Whether Python workers decode images. They then load TensorFlow, which takes seconds.
    """
    # Workers use this task's Python. Executors have the same image; on a laptop, `python3` is another installation.
    os.environ["PYSPARK_PYTHON"] = sys.executable
    use_utf8_names(os.environ)
    if settings.spark_master.startswith(_LOCAL):
        # Without an address Spark looks for one that other machines reach, and warns.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    _discard_dead_session()
    _silence_error_loggers()
    builder = SparkSession.builder
    on_kubernetes = settings.spark_master.startswith(_KUBERNETES)
    if on_kubernetes:
        from components.spark.executors import executor_configuration

        builder = builder.config(map=executor_configuration(settings))
    session = (
        builder.master(settings.spark_master)
        .appName("image-pipelines")
        .config(map=_driver(settings) | _delta() | _images() | _workers(workers_decode) | _quiet())
        .getOrCreate()
    )
    # The builder would put the secrets on the JVM's command line, where every user of the machine sees them.
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    for name, value in Access.of(settings).hadoop_configuration().items():
        hadoop.set(name, value)
    session.conf.set("spark.sql.execution.arrow.maxBytesPerBatch", Budget.of(session).batch_bytes)
    if on_kubernetes:
        # A pod ends with its first process, before Spark's own hook deletes the executors.
        atexit.register(_stop, session)
    return session


def _silence_error_loggers() -> None:
    """Stop PySpark from printing a page of JSON for each error, including handled ones; it raises them as well."""
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)


def _discard_dead_session() -> None:
    """Clear PySpark's reference to a dead session, so that the next one is new."""
    gateway, context = SparkContext._gateway, SparkContext._active_spark_context
    if gateway is None:
        return
    try:
        if context is not None and context._jsc.sc().isStopped():
            SparkSession._instantiatedSession.stop()
        gateway.jvm.java.lang.System.nanoTime()
        has_failed = context is None
    except (Py4JError, OSError):
        has_failed = True
    if has_failed:
        # The JVM is dead, does not respond, or could not start a context: tasks of its next one may wait for ever.
        gateway.proc.kill()
        gateway.proc.wait()
        with suppress(Py4JError, OSError):
            gateway.shutdown()
        SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
        SparkSession._instantiatedSession = None


def _stop(session: SparkSession) -> None:
    """Stop a session, unless its JVM is dead."""
    with suppress(Py4JError, OSError):
        session.stop()


def _driver(settings: Settings) -> dict[str, str]:
    return {
        "spark.driver.memory": settings.spark_driver_memory,
        # The number of shuffle partitions is here and not below, so that the operator's own options can change it.
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile={_LOG4J.as_uri()} {class_archive_options()}"
        f" -Dspark.sql.shuffle.partitions=8 {settings.spark_driver_java_options}",
    }


def _delta() -> dict[str, str]:
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",
        # Without it, Delta treats file:///lake and Hadoop's spelling file:/lake as two locations.
        "spark.databricks.delta.legacy.allowAmbiguousPathsInCreateTable": "true",
    }


def _images() -> dict[str, str]:
    return {
        "spark.sql.session.timeZone": "UTC",
        # The default adds 4 MB to each file's size, which limits a task to 32 images.
        "spark.sql.files.openCostInBytes": str(2**20),
        # The default starts a task per file of a batch, and each task first deserializes Hadoop's configuration.
        # 16 is the number of cores that all executors have by default.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "16",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(PYTHON_BATCH_ROWS),
        "spark.sql.parquet.columnarReaderBatchSize": str(PYTHON_BATCH_ROWS),
        # A broadcast of five million members of a training set takes longer than the default of 300 s.
        "spark.sql.broadcastTimeout": "3600",
        # The default reads a checksum file beside each file, and fails on names with a colon, e.g. a time.
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    }


def _workers(decode: bool) -> dict[str, str]:
    return {"spark.python.daemon.module": "components.spark.python_workers"} if decode else {}


def _quiet() -> dict[str, str]:
    return {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
