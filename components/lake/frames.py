"""Frames of rows that the driver holds."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType


def frame(spark: SparkSession, rows: Iterable[Sequence[Any]], columns: str) -> DataFrame:
    """Return rows as a frame.

    Spark reads it without a Python worker and knows its size: of a list it would keep pickled rows, and unpickle them
    in workers each time the frame is read.

    Args:
        spark: The session.
        rows: Values in the order of the columns; times with their zone.
        columns: Schema as DDL.
    """
    schema = StructType.fromDDL(columns)
    names = schema.fieldNames()
    dicts = [dict(zip(names, row, strict=True)) for row in rows]
    return spark.createDataFrame(pa.Table.from_pylist(dicts, schema=to_arrow_schema(schema, timezone="UTC")), schema)
