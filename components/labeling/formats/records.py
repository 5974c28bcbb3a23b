"""Distinguish the formats whose rows have named fields: lines of a table, and JSON objects."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from components.labeling.formats import azure_ml, label_studio, plain
from components.labeling.formats.annotation import LeftOut, Row

# Reads a row by its position and its fields by key in lower case.
Reader = Callable[[str, Mapping[str, Any]], Row]


def table_reader(columns: Collection[str]) -> Reader | None:
    """Return the reader of a table, or None if the columns are none of ours.

    Args:
        columns: Names of the columns, in lower case.
    """
    if label_studio.is_record(columns):
        return label_studio.record_row
    if "path" in columns and any(column in columns for column in plain.OUTCOME_COLUMNS):
        return plain.row
    if azure_ml.is_row(columns) and "label" in columns:
        return azure_ml.row
    return None


def object_rows(position: str, value: Any) -> Iterator[Row]:
    """Yield the rows of a JSON object.

    Args:
        position: Place within the file.
        value: A JSON value, which may be no object.
    """
    if not isinstance(value, dict):
        yield Row(position, LeftOut("The line is not a JSON object. Write one object per line."))
        return
    if label_studio.is_task(value):
        yield from label_studio.task_rows(position, value)
        return
    fields: dict[str, Any] = {}
    for key, each in value.items():
        name = key.strip().lower()
        other = fields.setdefault(name, each)
        if other is not each and other != each:
            yield Row(position, LeftOut(f"{name}: given twice, with different values. Keep one of them."))
            return
    reader = table_reader(fields)
    if reader is None:
        reader = azure_ml.row if "path" not in fields and azure_ml.is_row(fields) else plain.row
    yield reader(position, fields)
