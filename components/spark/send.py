"""Send a model to Spark's workers."""

import zipfile
from pathlib import Path
from tempfile import mkdtemp

from pyspark import SparkFiles
from pyspark.sql import SparkSession


def send(spark: SparkSession, folder: Path, name: str) -> None:
    """Send a folder to all workers, which find it at `SparkFiles.get(name)`.

    If a folder was sent under this name before, the function does nothing. It sends an archive, because Spark sends a
    local folder only to workers on the same machine.

    Args:
        spark: The session whose workers receive the folder.
        folder: The folder.
        name: A name that identifies the folder's content, e.g. by its digest.
    """
    context = spark.sparkContext
    if any(sent.endswith(f"#{name}") for sent in context.listArchives):
        return
    # Executors that start later fetch the archive too, so it must exist as long as the session.
    archive = Path(mkdtemp(dir=SparkFiles.getRootDirectory())) / f"{name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder))
    context.addArchive(f"{archive}#{name}")
