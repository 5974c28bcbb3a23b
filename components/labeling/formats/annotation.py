"""An annotation, and the rows of files that hold annotations or are left out."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from components.labeling.formats import values

DEFAULT_SERVICE = "file"

_Text = Annotated[str, BeforeValidator(values.text)]


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

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True)

    path: Annotated[_Text, AfterValidator(values.not_empty)]
    label: Annotated[int | None, BeforeValidator(values.class_id)] = None
    name: Annotated[str, BeforeValidator(values.class_name)] = ""
    annotator: _Text = ""
    annotated_at: Annotated[datetime | None, BeforeValidator(values.time)] = None
    annotation_id: _Text = ""
    service: _Text = ""
    batch: _Text = ""

    @property
    def is_skip(self) -> bool:
        """Whether the person skipped the image."""
        return self.label is None and not self.name

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


class Outcome(StrEnum):
    """Why an annotation is not imported."""

    REJECTED = "rejected"
    EMPTY = "finished without a class"
    UNFINISHED = "not labeled yet"
    NEW_CLASS = "waiting for a new class"


@dataclass(frozen=True)
class Rejection:
    """A file or an annotation that is not imported.

    Attributes:
        place: File and line, e.g. `labels.csv, line 7`.
        reason: Why it is rejected, and what to do.
        retryable: Whether a later run may import it without a change of the file, e.g. once the image is in the lake.
        outcome: Kind of the reason.
        count: Number of annotations. Images that are not labeled yet have one rejection for each file.
    """

    place: str
    reason: str
    retryable: bool = False
    outcome: Outcome = Outcome.REJECTED
    count: int = 1


class LeftOut(NamedTuple):
    """The reason why a row has no annotation.

    Attributes:
        reason: Cause, and what to do.
        outcome: Kind of the reason.
    """

    reason: str
    outcome: Outcome = Outcome.REJECTED


class Row(NamedTuple):
    """A row of a file that may hold an annotation.

    Attributes:
        position: Place within the file, e.g. `line 7`; empty for the whole file.
        content: Fields of the annotation, or the reason why there is none. A skipped image has neither `label` nor
            `name`.
        is_copy: Whether the field `path` refers to an exported copy instead of an image of the lake.
    """

    position: str
    content: dict[str, Any] | LeftOut
    is_copy: bool = False
