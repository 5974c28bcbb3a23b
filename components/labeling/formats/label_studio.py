"""The exports of Label Studio: JSON (tasks), and JSON-MIN and CSV (one record for each annotation).

Records leave out skipped annotations, and name the class by the control of the labeling configuration. They do not
tell the fields of the task from the controls, so their control must have one of the usual names.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from components.labeling.copy_names import own_name
from components.labeling.formats import json_text
from components.labeling.formats.annotation import LeftOut, Row
from components.labeling.formats.classes import EMPTY, REGION, UNFINISHED, several, single_class
from components.labeling.formats.values import is_empty, shown

SERVICE = "label_studio"

# Columns that each record has.
_RECORD = {"annotator", "annotation_id", "lead_time"}
# Columns that records may have, except for fields of the task and controls.
_USUAL = _RECORD | {"id", "created_at", "updated_at", "agreement", "history"}
# Names of the control with the class, in the order of preference; `choice` is that of Label Studio's templates.
_CONTROLS = ("choice", "choices", "class", "label", "category", "classification")
# Keys for the address of an image, if no field has the name of a copy.
_IMAGES = ("image", "img", "image_url", "url", "picture", "photo", "file_name")
# Columns of a manifest. If its lines were imported as tasks, `path` is the image itself.
_MANIFEST = ("path", "file", "batch")
# Types of results that describe the image without classifying it.
_COMMENTS = ("textarea", "rating", "number", "datetime")


def is_task(value: Mapping[str, Any]) -> bool:
    """Return whether an object is a task with its annotations."""
    return isinstance(value.get("data"), dict) and _annotations(value) is not None


def is_record(keys: Collection[str]) -> bool:
    """Return whether a table or an object with these keys, in lower case, has a record for each annotation."""
    return set(keys) >= _RECORD and "annotated_at" not in keys


def task_rows(position: str, task: Mapping[str, Any]) -> Iterator[Row]:
    """Yield a row for each annotation of a task; a task without annotations is not labeled yet.

    Args:
        position: Place of the task within the file.
        task: The task, for which `is_task` is true.
    """
    annotations = _annotations(task)
    if not annotations:
        yield Row(position, UNFINISHED)
        return
    for number, annotation in enumerate(annotations, start=1):
        each = f"{position}, annotation {number}".removeprefix(", ")
        if not isinstance(annotation, dict):
            yield Row(each, LeftOut("The annotation is not an object. Export the file again."))
        elif annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
            yield _row(each, task["data"], annotation, {})
        else:
            name = _choice(annotation.get("result"))
            yield Row(each, name) if isinstance(name, LeftOut) else _row(each, task["data"], annotation, {"name": name})


def record_row(position: str, fields: Mapping[str, Any]) -> Row:
    """Return the row for a record of JSON-MIN or a line of CSV.

    Args:
        position: Place within the file.
        fields: Fields by key in lower case, for which `is_record` is true.
    """
    if is_empty(fields["annotation_id"]):
        return Row(position, UNFINISHED)
    candidates = _candidates(list(fields))
    controls = [control for control in _CONTROLS if control in candidates]
    explained = _USUAL.union(_CONTROLS, _IMAGES)
    others = [key for key in candidates if key not in explained and not _is_copy(fields[key])]
    if not controls:
        return Row(position, _no_control(others) if others else EMPTY)
    if controls[0] != _CONTROLS[0] and len(controls + others) > 1:
        found = ", ".join(shown(key) for key in (controls + others)[:10])
        reason = (
            f"label: which of {found} is the class? Name the control {_CONTROLS[0]}, or export the project as JSON."
        )
        return Row(position, LeftOut(reason))
    name = _cell(fields[controls[0]])
    if isinstance(name, LeftOut):
        return Row(position, name)
    annotation = {**fields, "completed_by": fields["annotator"], "id": fields["annotation_id"]}
    return _row(
        position, {key: value for key, value in fields.items() if key != controls[0]}, annotation, {"name": name}
    )


def _annotations(task: Mapping[str, Any]) -> list[Any] | None:
    # Versions before 1.0 name them completions.
    found = task.get("annotations", task.get("completions"))
    return found if isinstance(found, list) else None


def _choice(results: Any) -> Any:
    """Return the class that the results of an annotation choose, or the reason why there is not exactly one."""
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        return LeftOut("result: missing. Export the project as JSON again.")
    if any(_is_region(each) for each in results):
        return REGION
    chosen = [each for each in results if each.get("type") == "choices"]
    if not chosen:
        kinds = sorted({str(each.get("type")) for each in results} - set(_COMMENTS))
        if kinds:
            return LeftOut(f"label: no choice of a class, but {', '.join(kinds)}. Use the control Choices.")
        return EMPTY
    names = [name for each in chosen for name in _as_list(_value(each).get("choices"))]
    controls = {str(each.get("from_name")) for each in chosen}
    if len(controls) > 1:
        found = ", ".join(sorted(controls))
        return LeftOut(f"label: {len(controls)} controls have a choice ({found}). Use one control Choices.")
    return single_class(names)


def _is_region(result: Mapping[str, Any]) -> bool:
    kind = str(result.get("type"))
    return kind.endswith("labels") or any(
        key in _value(result) for key in ("x", "points", "vertices", "rle", "x1", "width")
    )


def _value(result: Mapping[str, Any]) -> Mapping[str, Any]:
    found = result.get("value")
    return found if isinstance(found, dict) else {}


def _as_list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _cell(value: Any) -> Any:
    """Return the class in a record's field. Several choices and regions are JSON, in a table as text."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            value = json_text.load(value)
        except json_text.ERRORS:
            return value
    if isinstance(value, dict) and isinstance(value.get("choices"), list):
        return several(len(value["choices"])) if len(value["choices"]) > 1 else single_class(value["choices"])
    return single_class(value)


def _candidates(keys: list[str]) -> list[str]:
    """Return the fields of a record that may be controls.

    JSON-MIN writes the fields of the task, its id, the controls, the annotator and the rest, in this order. CSV sorts
    them. A field of the task may have the name of a usual control.
    """
    if "id" not in keys or not keys.index("id") < keys.index("annotator"):
        return keys
    is_in_order = _USUAL.issuperset(keys[keys.index("annotator") :])
    return keys[keys.index("id") + 1 : keys.index("annotator")] if is_in_order else keys


def _no_control(columns: Sequence[str]) -> LeftOut:
    found = ", ".join(shown(column) for column in columns[:10])
    return LeftOut(
        f"label: no column is one of {', '.join(_CONTROLS)}; other columns: {found}."
        " Export the project as JSON, or name the control choice."
    )


def _is_copy(value: Any) -> bool:
    return isinstance(value, str) and bool(own_name(value))


def _row(position: str, data: Mapping[str, Any], annotation: Mapping[str, Any], name: Mapping[str, Any]) -> Row:
    time = annotation.get("updated_at") or annotation.get("created_at")
    # An annotation keeps its id when a person changes it.
    annotation_id = "" if is_empty(annotation.get("id")) else f"{annotation['id']}@{time or ''}"
    content = {
        **name,
        "annotator": _person(annotation.get("completed_by")),
        "annotated_at": time,
        "annotation_id": annotation_id,
        "service": SERVICE,
    }
    if all(isinstance(data.get(key), str) for key in _MANIFEST):
        return Row(position, {**content, "path": data["path"], "batch": data["batch"]})
    address = next((value for value in data.values() if _is_copy(value)), None)
    address = address or next((data[key] for key in _IMAGES if isinstance(data.get(key), str)), None)
    if is_empty(address):
        return Row(position, LeftOut("image: no field of the task is the address of an image. Export the file again."))
    return Row(position, {**content, "path": address}, is_copy=True)


def _person(completed_by: Any) -> Any:
    if isinstance(completed_by, dict):
        return completed_by.get("email") or completed_by.get("id")
    return completed_by
