"""Files of answers, as CSV with a header or as JSON lines. What can't be read is told line by line; the rest is taken.

Columns: `path` as the manifest of the export spells it; `label` (class id) or `name` of the class, both empty if the
image was skipped; and, if the service has them, `annotator`, `annotated_at` (ISO 8601, UTC if it names no time zone),
`annotation_id`, `service` and `batch`. Other columns are left alone.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

SUFFIXES = (".csv", ".jsonl")
DEFAULT_SERVICE = "file"
_LARGEST_LABEL = 2**31 - 1


def _encodable(text: str) -> str:
    # JSON can spell half of a surrogate pair, which no UTF-8 text holds.
    text.encode()
    return text


def _utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("no such time in UTC") from error


def _empty_as_none(value: Any) -> Any:
    return None if value == "" else value


def _none_as_empty(value: Any) -> Any:
    return "" if value is None else value


_Text = Annotated[str, BeforeValidator(_none_as_empty), AfterValidator(_encodable)]
_Time = Annotated[datetime, AfterValidator(_utc)]


class Answer(BaseModel):
    """What one person said about one image.

    Attributes:
        path: The image.
        label: Class id; None if `name` is given instead, or if the image was skipped.
        name: Class name; empty if `label` is given instead, or if the image was skipped.
        annotator: Who said it.
        annotated_at: When, in UTC; None if the service does not tell.
        annotation_id: The service's name of the answer; made from the rest if the service gives none.
        service: Where it was asked.
        batch: The export that asked.
    """

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True)

    path: Annotated[_Text, Field(min_length=1)]
    label: Annotated[Annotated[int, Field(ge=0, le=_LARGEST_LABEL)] | None, BeforeValidator(_empty_as_none)] = None
    name: _Text = ""
    annotator: _Text = ""
    annotated_at: Annotated[_Time | None, BeforeValidator(_empty_as_none)] = None
    annotation_id: _Text = ""
    service: _Text = ""
    batch: _Text = ""

    @property
    def key(self) -> tuple[str, str]:
        """Service and annotation id: the same for the same answer, however often it is read."""
        if self.annotation_id:
            return self.service or DEFAULT_SERVICE, self.annotation_id
        said = (self.path, self.label, self.name, self.annotator, self.annotated_at and self.annotated_at.isoformat())
        return self.service or DEFAULT_SERVICE, hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Located:
    """An answer, and where it was read.

    Attributes:
        where: File and line, as in `labels.csv, line 7`.
        answer: The answer.
    """

    where: str
    answer: Answer


@dataclass(frozen=True)
class Rejected:
    """Something that was left out.

    Attributes:
        where: File and line, as in `labels.csv, line 7`.
        reason: Why.
    """

    where: str
    reason: str


def parse(name: str, content: bytes) -> tuple[list[Located], list[Rejected]]:
    """Return the answers of a file, and what could not be read of it.

    Args:
        name: The file's name, which ends in `.csv` or `.jsonl`.
        content: Its bytes, UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Rejected(name, f"is not UTF-8 (byte {error.start + 1}); export it as UTF-8")]
    answers: list[Located] = []
    rejected: list[Rejected] = []
    rows = _csv_rows(text) if name.lower().endswith(".csv") else _json_rows(text)
    for line, row in rows:
        where = f"{name}, line {line}" if line else name
        if isinstance(row, str):
            rejected.append(Rejected(where, row))
            continue
        try:
            answers.append(Located(where, Answer.model_validate(row)))
        except ValidationError as error:
            first = error.errors()[0]
            rejected.append(Rejected(where, f"{first['loc'][0]}: {first['msg']}"))
    return answers, rejected


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield line number and row, or the reason why there is none."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
        if text and not {"path", "label"} <= set(columns) and not {"path", "name"} <= set(columns):
            yield 0, "has no columns 'path' and 'label' (or 'name') in its first line"
            return
        for row in reader:
            if None in row or None in row.values():
                yield reader.line_num, f"has not {len(columns)} fields, as the first line has"
            else:
                yield reader.line_num, row
    except csv.Error as error:
        yield reader.line_num, f"is no CSV: {error}"


def _json_rows(text: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Yield line number and row, or the reason why there is none."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            yield number, "is no JSON"
            continue
        yield number, row if isinstance(row, dict) else "is no JSON object"
