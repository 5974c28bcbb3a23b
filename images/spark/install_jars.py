"""Install the JARs of Delta, S3 and Azure beside those of Spark.

Then sessions need no Maven repository. Run it with the Python of the environment: python images/spark/install_jars.py
"""

import shutil
import tempfile
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

DELTA = "io.delta:delta-spark_4.2_2.13:4.4.0"
# The version is that of Spark's Hadoop.
HADOOP_STORES = [f"org.apache.hadoop:{module}:3.5.0" for module in ("hadoop-aws", "hadoop-azure")]
# The modules of the AWS SDK that hadoop-aws uses: 9 MB instead of 500 MB for the bundle that it depends on.
AWS_MODULES = ("s3", "s3-transfer-manager", "sts", "apache-client", "netty-nio-client", "url-connection-client")
AWS_SDK = [f"software.amazon.awssdk:{module}:2.35.4" for module in AWS_MODULES]
EXCLUDED = (
    "software.amazon.awssdk:bundle",
    # Spark includes newer versions of these.
    "org.apache.hadoop:hadoop-client-api",
    "org.apache.hadoop:hadoop-client-runtime",
)
# Prefixes of the resolved JARs that Spark lacks.
NEEDED = (
    "io.delta_",
    "io.unitycatalog_",
    "org.apache.hadoop_hadoop-a",
    "org.hdrhistogram_",
    "org.reactivestreams_",
    "software.amazon.",
)


def main() -> None:
    """Resolve the packages with Spark's resolver, and copy the JARs that Spark lacks."""
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
                # The replacement is atomic, and running sessions keep the file that they have open.
                temporary = target / f"{jar.name}.part"
                shutil.copy2(jar, temporary)
                temporary.replace(target / jar.name)


if __name__ == "__main__":
    main()
