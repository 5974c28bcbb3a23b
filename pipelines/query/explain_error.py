"""Spark's error about a statement, in one sentence that names the nearest column, table or function."""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

# Similarity of two names, 0..1, from which one may be a misspelling of the other.
_SIMILAR = 0.5
_MOST_NAMES = 12

# Parameter of Spark's message that has the unknown name, by error condition.
_COLUMNS = {
    "UNRESOLVED_COLUMN": "objectName",
    "UNRESOLVED_FIELD": "fieldName",
    "FIELD_NOT_FOUND": "fieldName",
    "COLUMN_NOT_FOUND": "colName",
}
_TABLES = {"TABLE_OR_VIEW_NOT_FOUND": "relationName", "VIEW_NOT_FOUND": "relationName"}
_FUNCTIONS = {
    "UNRESOLVED_ROUTINE": "routineName",
    "UNRESOLVABLE_TABLE_VALUED_FUNCTION": "name",
    "ROUTINE_NOT_FOUND": "routineName",
}
# Parameters of Spark's message that list names which exist.
_PROPOSALS = ("proposal", "fields")
_CONDITION = re.compile(r"\[[A-Z0-9_]+(?:\.[A-Z0-9_]+)*\] [^\n]+")
_PART = re.compile(r"`((?:[^`]|``)*)`|([^.`\s]+)")


def explain_error(
    condition: str,
    parameters: Mapping[str, str],
    message: str,
    tables: Iterable[str],
    functions: Callable[[], Iterable[str]],
) -> str:
    """Return one or two sentences about a statement that Spark refuses or fails to run.

    Args:
        condition: Spark's error condition, e.g. `UNRESOLVED_COLUMN.WITH_SUGGESTION`.
        parameters: Parameters of Spark's message.
        message: Spark's message, of several lines.
        tables: Names of the tables and views.
        functions: Returns the names of all functions.
    """
    kind = condition.partition(".")[0]
    if (name := _name(parameters.get(_TABLES.get(kind, "")))) is not None:
        return f"unknown table '{name}'. {_advice(name, tables)}SHOW TABLES lists all."
    if (name := _name(parameters.get(_FUNCTIONS.get(kind, "")))) is not None:
        return f"unknown function '{name}'. {_advice(name, functions())}SHOW FUNCTIONS lists all."
    if (name := _name(parameters.get(_COLUMNS.get(kind, "")))) is not None:
        proposals = ",".join(parameters.get(key, "") for key in _PROPOSALS)
        existing = [found for each in proposals.split(",") if (found := _name(each)) is not None]
        return f"unknown column '{name}'. {_advice(name, existing)}DESCRIBE <table> lists the columns."
    return find_error(message) or message.strip().splitlines()[0]


def find_error(message: str) -> str:
    """Return the first line of a message of Spark that begins with a condition; empty if there is none.

    The errors of tasks are within the text of another error.
    """
    match = _CONDITION.search(message)
    return match[0].strip() if match else ""


def _name(quoted: str | None) -> str | None:
    """Return a name as people write it: without backticks, and with dots between its parts."""
    parts = [first.replace("``", "`") or second for first, second in _PART.findall(quoted or "")]
    return ".".join(parts) or None


def _advice(name: str, existing: Iterable[str]) -> str:
    """Return which existing name was meant, or which names exist; empty if none do."""
    # The last part of a qualified name is the column.
    spelled = {each.lower(): each for each in existing}
    by_part = {each.rpartition(".")[2]: each for each in spelled}
    near = get_close_matches(name.lower(), spelled, 1, _SIMILAR)
    near = near or [by_part[part] for part in get_close_matches(name.lower().rpartition(".")[2], by_part, 1, _SIMILAR)]
    if near:
        return f"Did you mean {spelled[near[0]]}? "
    shown = list(spelled.values())
    return f"Use one of {', '.join(shown)}. " if 0 < len(shown) <= _MOST_NAMES else ""
