"""The file formats of annotations. A row that can't be read is rejected with its place; other rows are imported.

`docs/labeling.md` describes the formats. The suffix of a file decides whether it is a table or JSON, its columns or
keys decide the format. Exports of labeling services identify an image by the address of its copy, and the class by its
name.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from components.labeling.formats import json_document, table
from components.labeling.formats.annotation import (
    DEFAULT_SERVICE,
    Annotation,
    LeftOut,
    LocatedAnnotation,
    Outcome,
    Rejection,
    Row,
)
from components.labeling.formats.text import decode

__all__ = ["DEFAULT_SERVICE", "SUFFIXES", "Annotation", "LocatedAnnotation", "Outcome", "Rejection", "parse"]

_READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".csv": table.rows,
    ".tsv": table.rows,
    ".jsonl": json_document.line_rows,
    ".ndjson": json_document.line_rows,
    ".json": json_document.file_rows,
}
SUFFIXES = tuple(_READERS)
_PARENT_FOLDER = "path: contains '..'. Copy the path from the manifest."
# Clocks and time zones that are set wrongly differ by less than a day.
_FARTHEST_AHEAD = timedelta(hours=24)


def parse(name: str, content: bytes, now: datetime | None = None) -> tuple[list[LocatedAnnotation], list[Rejection]]:
    """Return the annotations of a file, and its rows that are left out.

    Args:
        name: Name of the file, which ends in one of `SUFFIXES`.
        content: Content of the file, in UTF-8 or UTF-16.
        now: The time, in UTC; the current time by default.
    """
    text = decode(content)
    if isinstance(text, LeftOut):
        return [], [Rejection(name, text.reason)]
    latest = (now or datetime.now(UTC)) + _FARTHEST_AHEAD
    read = next(reader for suffix, reader in _READERS.items() if name.lower().endswith(suffix))
    annotations: list[LocatedAnnotation] = []
    rejected: list[Rejection] = []
    unfinished = 0
    for row in read(text):
        place = f"{name}, {row.position}" if row.position else name
        found = _annotation(row, latest)
        if isinstance(found, Annotation):
            annotations.append(LocatedAnnotation(place, found, row.is_copy))
        elif found.outcome is Outcome.UNFINISHED:
            unfinished += 1
        else:
            rejected.append(Rejection(place, found.reason, outcome=found.outcome))
    if unfinished:
        reason = "Images that nobody has labeled yet. They are imported once they are labeled."
        rejected.append(Rejection(name, reason, outcome=Outcome.UNFINISHED, count=unfinished))
    return annotations, rejected


def _annotation(row: Row, latest: datetime) -> Annotation | LeftOut:
    """Return the annotation of a row, or the reason why there is none."""
    if isinstance(row.content, LeftOut):
        return row.content
    try:
        annotation = Annotation.model_validate(row.content)
    except ValidationError as error:
        first = error.errors()[0]
        return LeftOut(f"{first['loc'][0]}: {first['msg']}")
    if ".." in annotation.path.split("/"):
        return LeftOut(_PARENT_FOLDER)
    time = annotation.annotated_at
    if time is not None and time > latest:
        return LeftOut(
            f"annotated_at: {time.isoformat()} is more than 24 hours ahead. Correct the clock or the time zone of the"
            " labeling service."
        )
    return annotation
