"""Install the JARs of Delta, S3, Azure and Google Cloud Storage beside those of Spark.

Then sessions need no Maven repository. Run it with the Python of the environment: python images/spark/install_jars.py
"""

import shutil
import subprocess
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
# The classifier names the JAR that has its own copies of Google's libraries, because Spark has other versions.
_GOOGLE_STORE = """
<ivy-module version="2.0" xmlns:m="http://ant.apache.org/ivy/maven">
  <info organisation="image-pipelines" module="jars"/>
  <dependencies>
    <dependency org="com.google.cloud.bigdataoss" name="gcs-connector" rev="4.0.4" transitive="false">
      <artifact name="gcs-connector" type="jar" ext="jar" m:classifier="shaded"/>
    </dependency>
  </dependencies>
</ivy-module>
"""
# The POM imports hundreds of others, and the JAR needs none of them.
_WITHOUT_POMS = """
<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true" usepoms="false"/></resolvers>
</ivysettings>
"""
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
    """Resolve the packages with Ivy, Spark's resolver, and copy the JARs that Spark lacks."""
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
        google = _google_store(target, Path(ivy))
        for jar in (google, *Path(ivy, "jars").iterdir()):
            if jar == google or jar.name.startswith(NEEDED):
                # The replacement is atomic, and running sessions keep the file that they have open.
                temporary = target / f"{jar.name}.part"
                shutil.copy2(jar, temporary)
                temporary.replace(target / jar.name)


def _google_store(jars: Path, folder: Path) -> Path:
    """Return the JAR of Google Cloud Storage. `spark.jars.packages` can't name a classifier.

    Args:
        jars: Folder of Spark's JARs, which has Ivy's.
        folder: Folder for the download.
    """
    [ivy] = jars.glob("ivy-*.jar")
    module, settings = folder / "google.xml", folder / "google-settings.xml"
    module.write_text(_GOOGLE_STORE)
    settings.write_text(_WITHOUT_POMS)
    pattern = f"{folder}/google/[artifact]-[revision](-[classifier]).[ext]"
    subprocess.run(
        [
            *("java", "-cp", str(ivy), "org.apache.ivy.Main", "-warn", "-settings", str(settings)),
            *("-ivy", str(module), "-cache", str(folder / "google-cache"), "-retrieve", pattern),
        ],
        check=True,
    )
    [jar] = (folder / "google").iterdir()
    return jar


if __name__ == "__main__":
    main()
