"""Put Delta's JARs beside Spark's own, so that a session finds them without asking a repository.

Run with the Python of the environment to complete: python images/spark/install_jars.py
"""

import shutil
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

PACKAGES = ("io.delta:delta-spark_4.2_2.13:4.4.0",)
# Spark brings newer ones of these itself.
EXCLUDED = ("org.apache.hadoop:hadoop-client-api", "org.apache.hadoop:hadoop-client-runtime")
# Of what the packages draw in, Spark has the rest.
NEEDED = ("io.delta_", "io.unitycatalog_")


def main() -> None:
    """Resolve the packages with Spark's own resolver and copy what Spark lacks."""
    target = Path(pyspark.__file__).parent / "jars"
    with tempfile.TemporaryDirectory() as ivy:
        (
            SparkSession.builder.master("local[1]")
            .config("spark.jars.packages", ",".join(PACKAGES))
            .config("spark.jars.excludes", ",".join(EXCLUDED))
            .config("spark.jars.ivy", ivy)
            .config("spark.ui.enabled", "false")
            .getOrCreate()
            .stop()
        )
        for jar in Path(ivy, "jars").iterdir():
            if jar.name.startswith(NEEDED):
                shutil.copy2(jar, target / jar.name)


if __name__ == "__main__":
    main()
