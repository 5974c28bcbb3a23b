"""The memory that images may take in Spark's workers, decided here for all code that holds them."""

import re
from dataclasses import dataclass
from typing import Self

from pyspark.sql import SparkSession

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
# The JVM and Python hold several copies of a batch.
_BATCH_FRACTION = 1 / 16
# Decoding takes up to nine bytes a pixel: three for the image, six for the coefficients of a progressive JPEG.
_PIXEL_FRACTION = 1 / 4
_BYTES_PER_PIXEL = 9
# For a decoder's buffers and copies of the file.
_DECODER_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Budget:
    """What a task may hold at once. A single image always fits: ingest checks its size.

    Attributes:
        batch_bytes: Bytes of the files in one batch for Python.
        pixels: Width times height of all images that are decoded together.
    """

    batch_bytes: int
    pixels: int

    @classmethod
    def of(cls, spark: SparkSession) -> Self:
        """Return the budget of a task: its part of the memory that a session's tasks share."""
        settings = spark.sparkContext.getConf()
        # Without executors, the driver's process runs the tasks.
        memory = settings.get("spark.executor.memory", settings.get("spark.driver.memory", "1g")) or ""
        cores = int(settings.get("spark.executor.cores") or spark.sparkContext.defaultParallelism)
        return cls.of_task(parse_memory(memory) // cores)

    @classmethod
    def of_task(cls, task_bytes: int) -> Self:
        """Return the budget of a task that has `task_bytes` of memory."""
        return cls(
            max(1, int(task_bytes * _BATCH_FRACTION)), max(1, int(task_bytes * _PIXEL_FRACTION / _BYTES_PER_PIXEL))
        )


def decoding_bytes(pixels: int) -> int:
    """Return the memory that the process may take that decodes images.

    Args:
        pixels: Maximum of width times height of an image.
    """
    return _BYTES_PER_PIXEL * pixels + _DECODER_BYTES


def parse_memory(text: str) -> int:
    """Return the bytes of a size in Spark's notation, e.g. `2g`, `512m` or `1024`.

    Raises:
        ValueError: The text is not a size.
    """
    match = re.fullmatch(r"(\d+)([bkmgt]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(f"'{text}' is not a size of memory")
    return int(match[1]) * _UNITS[match[2]]
