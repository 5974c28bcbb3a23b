"""JSON lines, and files of one JSON value. The content decides, because people save either under either suffix."""

from collections.abc import Iterator
from typing import Any

from components.labeling.formats import coco, json_text, label_studio
from components.labeling.formats.annotation import LeftOut, Row
from components.labeling.formats.records import object_rows

_INVALID_FILE = LeftOut("The file is not valid JSON, or is truncated. Export it again.")
_INVALID_LINE = LeftOut("The line is not valid JSON. Export the file again.")
_NO_ANNOTATION = LeftOut("The file has no annotations. Export it again when images are labeled.")


def file_rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file that should be one JSON value."""
    return _rows(text, are_lines=False)


def line_rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file that should have a JSON object in each line."""
    return _rows(text, are_lines=True)


def _rows(text: str, are_lines: bool) -> Iterator[Row]:
    lines = text.split("\n")
    filled = (number for number, line in enumerate(lines) if line.strip())
    first, is_single = next(filled, None), next(filled, None) is None
    if first is None:
        return
    value = _load(lines[first])
    if isinstance(value, LeftOut) or is_single:
        whole = value if is_single else _load(text)
        if not isinstance(whole, LeftOut):
            yield from _document(whole, f"line {first + 1}" if are_lines and is_single else "")
            return
        if not are_lines:
            yield Row("", whole if whole is not _INVALID_LINE else _INVALID_FILE)
            return
    for number, line in enumerate(lines[first:], start=first + 1):
        if line.strip():
            value = _load(line)
            position = f"line {number}"
            yield from [Row(position, value)] if isinstance(value, LeftOut) else object_rows(position, value)


def _document(value: Any, position: str) -> Iterator[Row]:
    """Yield the rows of a JSON value."""
    if coco.is_document(value):
        yield from coco.rows(value)
    elif isinstance(value, list):
        kind = "task" if any(isinstance(each, dict) and label_studio.is_task(each) for each in value) else "item"
        for number, each in enumerate(value, start=1):
            yield from object_rows(f"{kind} {number}", each)
        if not value:
            yield Row(position, _NO_ANNOTATION)
    elif coco.is_incomplete(value):
        reason = "one of the lists images, annotations, categories is missing. Export it as COCO."
        yield Row(position, LeftOut(f"The file is not COCO: {reason}"))
    else:
        yield from object_rows(position, value)


def _load(text: str) -> Any:
    """Return the value of a JSON text, or the reason why it has none."""
    try:
        return json_text.load(text)
    except json_text.RepeatedKeyError as error:
        return LeftOut(str(error))
    except json_text.ERRORS:
        return _INVALID_LINE
