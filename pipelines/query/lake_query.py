"""Run a read-only SQL statement over a lake, and return its result as text."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BinaryType, NumericType

from components.errors import InputError
from components.lake import Lake
from components.lake.tables import TABLES
from components.succession import NO_CHAMPION, Succession
from pipelines.query.parsed_statement import parse_statement
from pipelines.query.read_only import check_read_only
from pipelines.query.table_versions import with_table_uris


@dataclass(frozen=True)
class QueryResult:
    """The result of a query.

    Attributes:
        columns: Names of the columns.
        numeric: Whether a column is numeric, by column.
        rows: Values as text: None for NULL, and the length of binary values. They can be iterated once.
    """

    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: Iterator[tuple[str | None, ...]]


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
    with _one_sentence():
        nodes = parse_statement(lake.spark, statement)
    check_read_only(lake.spark, nodes)
    if not lake.is_current():
        raise InputError(
            f"lake: '{lake.root}' is a lake of an earlier release. Run `image-pipelines lake migrate`, then query it."
        )
    lake.register_views(succession)
    with _one_sentence():
        frame = lake.spark.sql(with_table_uris(statement, nodes, {table.name: lake.path(table) for table in TABLES}))
    types = [field.dataType for field in frame.schema.fields]
    return QueryResult(
        columns=tuple(frame.columns),
        numeric=tuple(isinstance(kind, NumericType) for kind in types),
        rows=(tuple(row) for row in _as_text(frame).toLocalIterator()),
    )


def _as_text(frame: DataFrame) -> DataFrame:
    """Convert all columns to text in Spark, so that it sends no images and times stay UTC."""
    # By position, because two columns of a query may have the same name.
    renamed = frame.toDF(*(f"_{index}" for index in range(len(frame.columns))))
    return renamed.select(
        *(
            F.concat(F.format_number(F.length(field.name), 0), F.lit(" bytes"))
            if isinstance(field.dataType, BinaryType)
            else F.col(field.name).cast("string")
            for field in renamed.schema.fields
        )
    )


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Shorten Spark's page about an invalid statement to one sentence."""
    try:
        yield
    except AnalysisException as error:
        sentence = str(error).strip().splitlines()[0]
        raise InputError(f"query: {sentence} DESCRIBE <table> lists the columns.") from error
    except Py4JJavaError as error:
        # Spark 4.2's parser fails on cursor statements outside a script.
        raise InputError(
            "query: only statements that read are allowed; Spark can't parse this one. Start with SELECT."
        ) from error
