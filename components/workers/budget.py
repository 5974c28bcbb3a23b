"""What images may take of the memory there is, decided here for all who hold them in Spark's workers."""

import re
from dataclasses import dataclass
from typing import Self

from pyspark.sql import SparkSession

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
# A batch is held by the JVM and by Python, some times over.
_BATCH_SHARE = 1 / 16
# Decoding takes up to nine bytes for a pixel: three of the image, six of a progressive JPEG's coefficients.
_PIXEL_SHARE = 1 / 4
_BYTES_PER_PIXEL = 9


@dataclass(frozen=True)
class Budget:
    """What a task may hold at a time. One image is always allowed: its own limits are checked when it is ingested.

    Attributes:
        batch_bytes: Files that are handed to Python together.
        pixels: Width times height of the images that are decoded together.
    """

    batch_bytes: int
    pixels: int

    @classmethod
    def of(cls, spark: SparkSession) -> Self:
        """Return the budget of a session's tasks, by the memory and the cores that they share."""
        settings = spark.sparkContext.getConf()
        # Without executors of its own, the driver's process runs the tasks.
        memory = settings.get("spark.executor.memory", settings.get("spark.driver.memory", "1g")) or ""
        cores = int(settings.get("spark.executor.cores") or spark.sparkContext.defaultParallelism)
        return cls.share(parse_memory(memory) // cores)

    @classmethod
    def share(cls, task_bytes: int) -> Self:
        """Return the budget of a task that has `task_bytes` of memory."""
        return cls(max(1, int(task_bytes * _BATCH_SHARE)), max(1, int(task_bytes * _PIXEL_SHARE / _BYTES_PER_PIXEL)))


def parse_memory(text: str) -> int:
    """Return the bytes of a size as Spark spells it: `2g`, `512m`, `1024`.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"(\d+)([bkmgt]?)b?", text.strip().lower())
    if match is None:
        raise ValueError(f"'{text}' is no size of memory")
    return int(match[1]) * _UNITS[match[2]]
