"""Spark starts from the archive of its classes that `make setup` makes."""

from pathlib import Path

from pyspark.sql import SparkSession

from components.lake.class_archive import CLASS_ARCHIVE


def test_java_has_the_archive_in_memory(spark: SparkSession) -> None:
    java = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()

    assert str(CLASS_ARCHIVE) in Path(f"/proc/{java}/maps").read_text(), (
        "Another Java than this one made it, or other JARs are there: run images/spark/make_class_archive.py again"
    )
