"""Small files in the lake, through Hadoop's file systems: they are where the tables are, whatever the store."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pyspark.sql import SparkSession


@dataclass(frozen=True)
class FileStatus:
    """A file's metadata.

    Attributes:
        length: Bytes.
        modification_time: When it was last written, in UTC.
    """

    length: int
    modification_time: datetime


def status(spark: SparkSession, uri: str) -> FileStatus | None:
    """Return a file's metadata, or None if there is no such file."""
    path, system = _resolve(spark, uri)
    if not system.exists(path):
        return None
    found = system.getFileStatus(path)
    return FileStatus(found.getLen(), datetime.fromtimestamp(found.getModificationTime() / 1000, UTC))


def exists(spark: SparkSession, uri: str) -> bool:
    """Tell whether there is a file or folder at `uri`."""
    path, system = _resolve(spark, uri)
    return bool(system.exists(path))


def is_folder(spark: SparkSession, uri: str) -> bool:
    """Tell whether there is a folder at `uri`."""
    path, system = _resolve(spark, uri)
    return bool(system.exists(path) and system.getFileStatus(path).isDirectory())


def list_names(spark: SparkSession, uri: str) -> list[str]:
    """Return the names in a folder, sorted; none if it does not exist."""
    path, system = _resolve(spark, uri)
    return sorted(status.getPath().getName() for status in system.listStatus(path)) if system.exists(path) else []


def read_bytes(spark: SparkSession, uri: str) -> bytes:
    """Return a small file's content.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path, system = _resolve(spark, uri)
    if not system.exists(path):
        raise FileNotFoundError(uri)
    stream = system.open(path)
    try:
        return bytes(stream.readAllBytes())
    finally:
        stream.close()


def read_text(spark: SparkSession, uri: str) -> str:
    """Return a small UTF-8 file's text.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return read_bytes(spark, uri).decode()


def write_text(spark: SparkSession, uri: str, text: str) -> None:
    """Write a small UTF-8 file in place of what was there, whole or not at all."""
    path, system = _resolve(spark, uri)
    # Two runs may write the same file at the same time: the last one wins, and none takes the other's part.
    part = path.suffix(f".{uuid4().hex}.part")
    stream = system.create(part, True)
    try:
        stream.write(bytearray(text.encode()))
    finally:
        stream.close()
    hadoop = spark._jvm.org.apache.hadoop.fs
    context = hadoop.FileContext.getFileContext(path.toUri(), spark._jsc.hadoopConfiguration())
    options = spark.sparkContext._gateway.new_array(hadoop.Options.Rename, 1)
    options[0] = hadoop.Options.Rename.OVERWRITE
    context.rename(part, path, options)


def _resolve(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)
    return path, path.getFileSystem(spark._jsc.hadoopConfiguration())
