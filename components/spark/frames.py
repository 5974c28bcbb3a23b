"""Frames of rows that the driver has in memory, and frames that are evaluated once."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType


def frame(spark: SparkSession, rows: Iterable[Sequence[Any]], columns: str) -> DataFrame:
    """Return rows as a frame.

    Spark reads the frame's Arrow table without a Python worker and knows its size. A frame of a list would keep pickled
    rows, which Python workers unpickle each time the frame is read.

    Args:
        spark: The session.
        rows: Values in the order of the columns; times with their zone.
        columns: Schema as DDL.
    """
    schema = StructType.fromDDL(columns)
    names = schema.fieldNames()
    dicts = [dict(zip(names, row, strict=True)) for row in rows]
    return spark.createDataFrame(pa.Table.from_pylist(dicts, schema=to_arrow_schema(schema, timezone="UTC")), schema)


def persist(rows: DataFrame, cached: ExitStack) -> DataFrame:
    """Return a frame that keeps its rows after their first evaluation, in memory or on disk.

    Args:
        rows: The frame.
        cached: Unpersists the frame at its end.
    """
    persisted = rows.persist(StorageLevel.MEMORY_AND_DISK)
    cached.callback(persisted.unpersist)
    return persisted
