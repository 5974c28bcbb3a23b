"""Run a read-only SQL statement over a lake, and return its result as text."""

from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    MapType,
    NumericType,
    StructField,
    StructType,
    VariantType,
)

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import TABLES
from components.succession import NO_CHAMPION, Succession
from pipelines.query.explain_error import explain_error, find_error
from pipelines.query.parsed_statement import Node, parse_statement
from pipelines.query.read_only import check_read_only
from pipelines.query.result import Kind, QueryResult
from pipelines.query.table_versions import with_table_uris

_TABLE_NAMES = (*(table.name for table in TABLES), "quarantine", "image_data")


def query(lake: Lake, statement: str, succession: Succession = NO_CHAMPION) -> QueryResult:
    """Run a statement that can name the tables and the view `image_data`. Times are UTC.

    Args:
        lake: The lake.
        statement: A SQL query.
        succession: The model versions whose predictions `image_data` shows.

    Raises:
        InputError: The statement could do more than read, Spark can't parse or resolve it, or there is no lake.
    """
    if not statement.strip():
        raise InputError("query: only statements that read are allowed; this one is empty. Start with SELECT.")
    with _one_sentence(lake.spark):
        nodes = _parse(lake.spark, statement)
    check_read_only(lake.spark, nodes)
    if not lake.is_current():
        raise InputError(
            f"lake: '{lake.root}' is a lake of an earlier release. Run `image-pipelines lake migrate`, then query it."
        )
    lake.register_views(succession)
    with _one_sentence(lake.spark):
        frame = lake.spark.sql(with_table_uris(statement, nodes, {table.name: lake.path(table) for table in TABLES}))
    kinds = tuple(_kind(field.dataType) for field in frame.schema.fields)
    return QueryResult(tuple(frame.columns), kinds, _rows(frame))


def _parse(spark: SparkSession, statement: str) -> list[Node]:
    try:
        return parse_statement(spark, statement)
    except Py4JJavaError as error:
        # Spark 4.2's parser fails on cursor statements outside a script.
        raise InputError(
            "query: only statements that read are allowed; Spark can't parse this one. Start with SELECT."
        ) from error


def _kind(data_type: DataType) -> Kind:
    if isinstance(data_type, NumericType):
        return Kind.NUMBER
    if isinstance(data_type, BooleanType):
        return Kind.BOOLEAN
    return Kind.JSON if isinstance(data_type, ArrayType | MapType | StructType | VariantType) else Kind.TEXT


def _rows(frame: DataFrame) -> Iterator[tuple[str | None, ...]]:
    with _one_sentence(frame.sparkSession):
        for row in _as_text(frame).toLocalIterator():
            yield tuple(row)


def _as_text(frame: DataFrame) -> DataFrame:
    """Convert all columns to text in Spark, so that it sends no images and times stay UTC."""
    # By position, because two columns of a query may have the same name.
    renamed = frame.toDF(*(f"_{index}" for index in range(len(frame.columns))))
    return renamed.select(*map(_column_as_text, renamed.schema.fields))


def _column_as_text(field: StructField) -> Column:
    if isinstance(field.dataType, BinaryType):
        return F.concat(F.format_number(F.length(field.name), 0), F.lit(" bytes"))
    if _kind(field.dataType) is Kind.JSON:
        return F.to_json(field.name, {"ignoreNullFields": "false"})
    return F.col(field.name).cast("string")


@contextmanager
def _one_sentence(spark: SparkSession) -> Iterator[None]:
    """Shorten Spark's page about an invalid or failed statement to one sentence."""
    try:
        yield
    except (PySparkException, Py4JJavaError) as error:
        sentence = find_error(str(error))
        if isinstance(error, PySparkException) and (condition := error.getCondition()):
            parameters = error.getMessageParameters() or {}
            sentence = explain_error(condition, parameters, str(error), _TABLE_NAMES, lambda: _functions(spark))
        if not sentence:
            raise
        raise InputError(f"query: {sentence}") from error


def _functions(spark: SparkSession) -> list[str]:
    return [row["function"] for row in spark.sql("SHOW SYSTEM FUNCTIONS").collect()]
