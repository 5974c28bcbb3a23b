"""Spark starts from the class archive that `make setup` creates."""

from pathlib import Path

from pyspark.sql import SparkSession

from components.spark.class_archive import CLASS_ARCHIVE


def test_jvm_maps_the_class_archive(spark: SparkSession) -> None:
    java = spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid()

    assert str(CLASS_ARCHIVE) in Path(f"/proc/{java}/maps").read_text(), (
        "Another Java than this one made it, or other JARs are there: run images/spark/make_class_archive.py again"
    )
