"""Put the JARs of Delta, S3 and Azure beside Spark's own, so that a session finds them without asking a repository.

Run with the Python of the environment to complete: python images/spark/install_jars.py
"""

import shutil
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
# Of Spark's Hadoop.
HADOOP_STORES = [f"org.apache.hadoop:{module}:3.5.0" for module in ("hadoop-aws", "hadoop-azure")]
# What hadoop-aws uses of the AWS SDK: 9 MB, where the bundle that it asks for has half a gigabyte.
AWS_MODULES = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client", "url-connection-client")
AWS_SDK = [f"software.amazon.awssdk:{module}:2.35.4" for module in AWS_MODULES]
EXCLUDED = (
    "software.amazon.awssdk:bundle",
    # Spark brings newer ones of these itself.
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
)
# Of what the packages draw in, Spark has the rest.
NEEDED = (
    "io.delta_",
    "io.unitycatalog_",
    "org.apache.hadoop_hadoop-a",
    "org.hdrhistogram_",
    "org.reactivestreams_",
    "software.amazon.",
)


def main() -> None:
    """Resolve the packages with Spark's own resolver and copy what Spark lacks."""
    target = Path(pyspark.__file__).parent / "jars"
    with tempfile.TemporaryDirectory() as ivy:
        (
            SparkSession.builder.master("local[1]")
            .config("spark.jars.packages", ",".join((DELTA, *HADOOP_STORES, *AWS_SDK)))
            .config("spark.jars.excludes", ",".join(EXCLUDED))
            .config("spark.jars.ivy", ivy)
            .config("spark.ui.enabled", "false")
            .getOrCreate()
            .stop()
        )
        for jar in Path(ivy, "jars").iterdir():
            if jar.name.startswith(NEEDED):
                # Beside and then in place: a session that runs goes on with the file that it has open.
                part = target / f"{jar.name}.part"
                shutil.copy2(jar, part)
                part.replace(target / jar.name)


if __name__ == "__main__":
    main()
