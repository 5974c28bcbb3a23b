"""An annotation, and the rows of files that hold annotations or are rejected."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

DEFAULT_SERVICE = "file"
_LARGEST_LABEL = 2**31 - 1


def _encodable(text: str) -> str:
    # JSON can hold half of a surrogate pair, which UTF-8 can't encode.
    text.encode()
    return text


def _utc(time: datetime) -> datetime:
    try:
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except OverflowError as error:
        raise ValueError("time out of range in UTC") from error


def _empty_as_none(value: Any) -> Any:
    return None if value == "" else value


def _none_as_empty(value: Any) -> Any:
    return "" if value is None else value


_Text = Annotated[str, BeforeValidator(_none_as_empty), AfterValidator(_encodable)]
_Time = Annotated[datetime, AfterValidator(_utc)]


class Annotation(BaseModel):
    """The class that one person gave one image, or the fact that the person skipped the image.

    Attributes:
        path: Path of the image.
        label: Class id; None if `name` is given instead, or if the image was skipped.
        name: Class name; empty if `label` is given instead, or if the image was skipped.
        annotator: Name of the person; empty if the service does not record it.
        annotated_at: Time of the annotation in UTC; None if the service does not record it.
        annotation_id: Identifier that the service gave the annotation; empty if it gave none.
        service: Labeling service.
        batch: Exported batch that the image belongs to.
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

    def key(self, annotated_at: datetime) -> tuple[str, str]:
        """Return the service and an annotation id, which are the same each time the file is read.

        Args:
            annotated_at: Time of the annotation, or its best estimate. An id that is derived from the content includes
                the time, because a person may change an annotation and change it back.
        """
        service = self.service or DEFAULT_SERVICE
        if self.annotation_id:
            return service, self.annotation_id
        content = (self.path, self.label, self.name, self.annotator, annotated_at.isoformat())
        return service, hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class LocatedAnnotation:
    """An annotation, and its place in a file.

    Attributes:
        place: File and line, e.g. `labels.csv, line 7`.
        annotation: The annotation.
        is_copy: Whether the annotation's path refers to an exported copy instead of an image of the lake.
    """

    place: str
    annotation: Annotation
    is_copy: bool = False


@dataclass(frozen=True)
class Rejection:
    """A file or an annotation that is not imported.

    Attributes:
        place: File and line, e.g. `labels.csv, line 7`.
        reason: Why it is rejected, and what to do.
        retryable: Whether a later run may import it without a change of the file, e.g. once the image is in the lake.
    """

    place: str
    reason: str
    retryable: bool = False


class Row(NamedTuple):
    """A row of a file that may hold an annotation.

    Attributes:
        position: Place within the file, e.g. `line 7`; empty for the whole file.
        content: Fields of the annotation, or the reason why the row is rejected.
        is_copy: Whether the field `path` refers to an exported copy instead of an image of the lake.
    """

    position: str
    content: dict[str, Any] | str
    is_copy: bool = False
