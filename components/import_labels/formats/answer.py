"""An answer, and what is told of one that can't be read."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

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

    def key(self, at: datetime) -> tuple[str, str]:
        """Return service and annotation id: the same for the same answer, however often it is read.

        Args:
            at: When it was said, as far as is known: who says the same again after something else has changed its mind.
        """
        if self.annotation_id:
            return self.service or DEFAULT_SERVICE, self.annotation_id
        said = (self.path, self.label, self.name, self.annotator, at.isoformat())
        return self.service or DEFAULT_SERVICE, hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Located:
    """An answer, and where it was read.

    Attributes:
        where: File and line, as in `labels.csv, line 7`.
        answer: The answer.
        is_copy: Whether the answer's path is that of the copy which was exported, as the labelling service spells it.
    """

    where: str
    answer: Answer
    is_copy: bool = False


@dataclass(frozen=True)
class Rejected:
    """Something that was left out.

    Attributes:
        where: File and line, as in `labels.csv, line 7`.
        reason: Why.
        waits: Whether the lake may know later what is meant.
    """

    where: str
    reason: str
    waits: bool = False


class Row(NamedTuple):
    """A piece of a file that may hold an answer.

    Attributes:
        place: Where in the file, as in `line 7`; empty for the file as a whole.
        found: The answer's fields, or the reason why there are none.
        is_copy: Whether `path` among the fields is that of the copy which was exported.
    """

    place: str
    found: dict[str, Any] | str
    is_copy: bool = False
