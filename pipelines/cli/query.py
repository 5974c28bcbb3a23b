"""The command that queries the lake."""

from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import console
from pipelines.query.output import Format


def query(
    sql: Annotated[str, typer.Argument(help="Statement, e.g. SELECT label, count(*) FROM image_data GROUP BY label")],
    lake: options.Lake = "",
    form: options.Format = Format.TABLE,
) -> None:
    """Query the lake with SQL: its tables, and the view image_data.

    SHOW TABLES lists the tables. image_data shows the champion's predictions, so queries of this view need MLflow.
    Lists and objects are printed as JSON, and binary values as their length.

    The command refuses statements that write, to prevent accidents. It does not control access: for that, use
    credentials that can only read the lake.
    """
    from pipelines.query.print_query import print_query

    print_query(sql, lake, form, console)
