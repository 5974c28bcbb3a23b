"""The row of files in our own columns, which people write by hand or with a program."""

from collections.abc import Mapping
from typing import Any

from components.labeling.formats.annotation import LeftOut, Outcome, Row
from components.labeling.formats.classes import REGION, several
from components.labeling.formats.values import boolean, is_empty, shown

CLASS_COLUMNS = ("label", "name")
# The columns that give a row an outcome.
OUTCOME_COLUMNS = (*CLASS_COLUMNS, "skipped")
_OTHER_COLUMNS = ("path", "annotator", "annotated_at", "annotation_id", "service", "batch")
# A row with one of these was submitted by a person.
_SUBMITTED = ("annotator", "annotated_at", "annotation_id")
# Column of a manifest, whose `name` is the class that the model predicted.
_PREDICTION = "predicted_label"

_EMPTY = LeftOut("label: empty, but the row was submitted. Give label or name, or set skipped to true.", Outcome.EMPTY)
_UNFINISHED = LeftOut("label: empty. Give label or name, or set skipped to true.", Outcome.UNFINISHED)
_PREDICTED_NAME = LeftOut(
    "name: the model's prediction, because the row comes from a manifest. Give the class id as label, or remove the"
    f" column {_PREDICTION}."
)


def row(position: str, fields: Mapping[str, Any]) -> Row:
    """Return the row for an object, or for a line of a table.

    Args:
        position: Place within the file.
        fields: Fields by key in lower case.
    """
    if is_empty(fields.get("path")):
        found = ", ".join(shown(key) for key in fields) or "none"
        return Row(position, LeftOut(f"path: missing; the keys are: {found}. Copy the path from the manifest."))
    outcome = _outcome(fields)
    if outcome is not None:
        return Row(position, outcome)
    content = {key: value for key, value in fields.items() if key in (*CLASS_COLUMNS, *_OTHER_COLUMNS)}
    if _PREDICTION in fields:
        content.pop("name", None)
    # A list of one class is that class.
    content |= {key: content[key][0] for key in CLASS_COLUMNS if isinstance(content.get(key), list) and content[key]}
    return Row(position, content)


def _outcome(fields: Mapping[str, Any]) -> LeftOut | None:
    """Return the reason why a row has neither a class nor a skip, or None."""
    given = {key: fields[key] for key in CLASS_COLUMNS if not is_empty(fields.get(key)) and fields[key] != []}
    skipped = boolean(fields.get("skipped"))
    if skipped is None:
        return LeftOut(f"skipped: {shown(fields['skipped'])} is neither true nor false. Write true or false.")
    for value in given.values():
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(each, dict) for each in value)):
            return REGION
        if isinstance(value, list) and len(value) > 1:
            return several(len(value))
    if _PREDICTION in fields and "name" in given:
        del given["name"]
        if not given and not skipped:
            return _PREDICTED_NAME
    if skipped and given:
        key, value = next(iter(given.items()))
        return LeftOut(f"skipped: true, but {key} is {shown(value)}. Remove one of them.")
    if given or skipped:
        return None
    if not any(key in fields for key in OUTCOME_COLUMNS):
        unknown = [key for key in fields if key not in _OTHER_COLUMNS]
        found = f" Unknown keys: {', '.join(shown(key) for key in unknown)}." if unknown else ""
        return LeftOut(f"label: missing.{found} Give label or name, or set skipped to true.")
    return _EMPTY if any(not is_empty(fields.get(key)) for key in _SUBMITTED) else _UNFINISHED
