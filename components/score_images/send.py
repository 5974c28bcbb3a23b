"""Sending a model to Spark's workers."""

import zipfile
from pathlib import Path
from tempfile import mkdtemp

from pyspark import SparkFiles
from pyspark.sql import SparkSession


def send(spark: SparkSession, folder: Path, name: str) -> None:
    """Give every worker a copy of a folder, as `SparkFiles.get(name)`. What was sent by that name stays.

    An archive, because Spark sends folders of this machine to workers on this machine only.

    Args:
        spark: The session whose workers get it.
        folder: The folder.
        name: Stands for its content, as a digest does.
    """
    context = spark.sparkContext
    if any(sent.endswith(f"#{name}") for sent in context.listArchives):
        return
    # Executors that start later fetch it too: it has to be there as long as the session.
    archive = Path(mkdtemp(dir=SparkFiles.getRootDirectory())) / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    context.addArchive(f"{archive}#{name}")
