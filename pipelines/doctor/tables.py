"""Schema version, split and columns of the lake's tables.

The check starts Spark on this machine, and reads no rows.
"""

from collections.abc import Iterator
from functools import partial

from components.lake import TABLES, Lake, Split, Table
from components.lake.nearby import is_lake
from components.lake.properties import SCHEMA_VERSION
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, guarded, ok, warning
from pipelines.quiet_lake import quiet_lake

# No executors: the logs of the tables are small.
_MASTER = "local[1]"


def check_tables(context: Context) -> Iterator[Finding]:
    """Yield findings about the tables. It writes nothing, so it migrates no lake."""
    if not is_lake(context.root, context.files):
        yield ok(f"lake: '{context.root}' has no tables yet.")
        return
    with quiet_lake(context.settings.model_copy(update={"spark_master": _MASTER})) as lake:
        yield from findings_of(lake, context)


def findings_of(lake: Lake, context: Context) -> Iterator[Finding]:
    """Yield findings about an existing lake.

    Args:
        lake: The lake.
        context: The installation.

    Raises:
        InputError: The lake is newer than this release.
    """
    version = lake.require_known_version()
    if version < SCHEMA_VERSION:
        yield warning(
            f"lake: '{lake.root}' has schema version {version}, but this release writes {SCHEMA_VERSION}.",
            "Run `image-pipelines lake migrate`, or let the next step migrate it.",
        )
        return
    yield ok(f"lake: '{lake.root}' has schema version {version}.")
    yield from guarded(partial(_split, lake, context))
    for table in TABLES:
        yield from guarded(partial(_table, lake, table), table.name)


def _split(lake: Lake, context: Context) -> Iterator[Finding]:
    lake.check_split(Split.of(context.settings))
    yield ok(f"split: {lake.split}.")


def _table(lake: Lake, table: Table) -> Iterator[Finding]:
    if not lake.has(table):
        yield warning(f"{table.name}: this table does not exist.", "Nothing: the next step creates it.")
        return
    found = {each.name: each.dataType.simpleString() for each in lake.read(table).schema}
    expected = {each.name: each.dataType.simpleString() for each in table.schema}
    if different := sorted(name for name, kind in expected.items() if found.get(name) != kind):
        yield error(
            f"{table.name}: missing columns or columns of another type: {', '.join(different)}.",
            "Restore an earlier version of the table. Only the pipelines may change its columns.",
        )
        return
    yield ok(f"{table.name}: version {lake.version(table)}.")
