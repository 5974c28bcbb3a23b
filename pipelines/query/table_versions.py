"""Make time travel, history and details work with table names.

The names are temporary views, for which Spark refuses these statements.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipelines.query.parsed_statement import Node, elements

_RELATIONS = ("UnresolvedRelation", "UnresolvedTable")
# These already have an alias, or allow none.
_PARENTS_WITHOUT_ALIAS = frozenset({"SubqueryAlias", "Sample", "GlobalLimit", "LocalLimit"})


def with_table_uris(statement: str, nodes: Iterable[Node], uris: Mapping[str, str]) -> str:
    """Replace table names by URIs in time travel and in requests of history or details.

    Args:
        statement: The SQL statement.
        nodes: All nodes of the parsed statement.
        uris: URIs of the lake's tables, by name.
    """
    tables = {name: f"delta.`{uri.replace('`', '``')}`" for name, uri in uris.items()}
    replaced: list[tuple[int, int, str]] = []
    for node in nodes:
        if node.parent is None or node.name not in _RELATIONS or (name := _name(node.java)) not in tables:
            continue
        if node.parent.name == "DescribeDeltaDetailCommand":
            return f"DESCRIBE DETAIL {tables[name]}"
        if node.parent.name == "DescribeDeltaHistory":
            limit = "".join(f" LIMIT {rows}" for rows in elements(node.parent.java.limit()))
            return f"DESCRIBE HISTORY {tables[name]}{limit}"
        if node.parent.name == "RelationTimeTravel":
            replaced.append((*_span(node.java), tables[name]))
            outer = node.parent.parent
            if outer is None or outer.name not in _PARENTS_WITHOUT_ALIAS:
                _, end = _span(node.parent.java)
                replaced.append((end, end, f" AS {name}"))
    # From the end, so that earlier positions stay valid.
    for start, end, text in sorted(replaced, reverse=True):
        statement = statement[:start] + text + statement[end:]
    return statement


def _name(relation: Any) -> str:
    """Return the name of a table, in lower case."""
    return ".".join(elements(relation.multipartIdentifier())).lower()


def _span(node: Any) -> tuple[int, int]:
    """Return the start and the end of a node in the text of the statement."""
    origin = node.origin()
    return origin.startIndex().get(), origin.stopIndex().get() + 1
