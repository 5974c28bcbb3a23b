"""The result of a query: text for people, with the kind of each column for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """The kind of a column's values.

    Attributes:
        TEXT: Any text, e.g. a time.
        NUMBER: Numbers.
        BOOLEAN: `true` or `false`.
        JSON: Lists and objects, written as JSON.
    """

    TEXT = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    JSON = auto()


@dataclass(frozen=True)
class QueryResult:
    """The result of a query.

    Attributes:
        columns: Names of the columns.
        kinds: Kind of each column.
        rows: Values as text; None for NULL. They can be iterated once.
    """

    columns: tuple[str, ...]
    kinds: tuple[Kind, ...]
    rows: Iterator[tuple[str | None, ...]]
