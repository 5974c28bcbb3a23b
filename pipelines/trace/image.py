"""The trace of an image, as one value. All times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from components.succession import ModelVersion, Succession


@dataclass(frozen=True)
class FoundFile:
    """The row of an image in the table `files`.

    Attributes:
        state: `image`, `quarantine` or `forgotten`.
        reason: Why the file is in quarantine; None for an image.
        source: Landing folder; None in rows of release 0.1.0.
        length: Bytes; None if the file could not be read.
        modified: Time when the file was last written; None if the file could not be read.
        content_sha256: Hash of the current content; None without one.
        folder_label: Class id from the folder's name; None without one.
        ingested_at: Time of the batch; None if unknown.
    """

    state: str
    reason: str | None
    source: str | None
    length: int | None
    modified: datetime | None
    content_sha256: str | None
    folder_label: int | None
    ingested_at: datetime | None


@dataclass(frozen=True)
class Arrival:
    """A row of the table `images`: a content that the path has had, or a refused file.

    Attributes:
        content_sha256: Hash of the stored picture; None for a refused file.
        source_sha256: Hash of the file as it arrived; None if ingest did not read it.
        format: Format of the file as it arrived, e.g. `jpeg`; None if unknown.
        length: Bytes of the file; None if unknown.
        modified: Time when the file was last written; None if unknown.
        reason: Why the file was refused; None for an accepted picture.
        batch: Plan of the batch.
        ingested_at: Time of the batch; None if unknown.
        picture: The stored picture; None for a refused file, for a forgotten image, and for old contents if there are
            many.
    """

    content_sha256: str | None
    source_sha256: str | None
    format: str | None
    length: int | None
    modified: datetime | None
    reason: str | None
    batch: str
    ingested_at: datetime | None
    picture: bytes | None = None


@dataclass(frozen=True)
class Annotation:
    """An annotation of a content of the path.

    Attributes:
        content_sha256: Content that the person saw; empty if unknown.
        service: Labeling service.
        annotator: Person; None if unknown.
        label: Class id; None for a skip.
        annotated_at: Time of the annotation; None if unknown.
        batch: Exported batch; None if unknown.
        is_undone: Whether the annotation was taken back.
    """

    content_sha256: str
    service: str
    annotator: str | None
    label: int | None
    annotated_at: datetime | None
    batch: str | None
    is_undone: bool


@dataclass(frozen=True)
class PeopleLabel:
    """The label that the annotations of a content have given it.

    Attributes:
        content_sha256: The content.
        label: Class id.
        service: Labeling service of the deciding annotation.
        labeled_at: Time of that annotation; None if unknown.
    """

    content_sha256: str
    label: int | None
    service: str | None
    labeled_at: datetime | None


@dataclass(frozen=True)
class Prediction:
    """The output of a model version for a content.

    Attributes:
        content_sha256: The content.
        model: Name of the registered model; None in rows of release 0.1.0.
        version: Version of the model; None if unknown.
        digest: SHA-256 of the model's files.
        label: Predicted class id; None if the image could not be decoded.
        score: Top score, 0..1; None if the image could not be decoded.
        predicted_at: Time of the prediction; None if unknown.
        error: Why the image could not be decoded; None if it could.
        is_test: Whether this is the prediction of a test image in the table `evaluations`.
    """

    content_sha256: str
    model: str | None
    version: str | None
    digest: str
    label: int | None
    score: float | None
    predicted_at: datetime | None
    error: str | None
    is_test: bool = False


@dataclass(frozen=True)
class LabelingRequest:
    """A request that people label a content.

    Attributes:
        content_sha256: The content.
        batch: Exported batch.
        reason: Reason of the request; None if unknown.
        version: Model version of the prediction; None if unknown.
        label: Predicted class id; None if unknown.
        score: Score of the prediction, 0..1; None if unknown.
        requested_at: Time when the batch began; None if unknown.
        outcome: Result; None while the request is open.
        completed_at: Time when an import set the outcome; None while the request is open.
        copy: Address of the exported copy, or why it is unknown.
    """

    content_sha256: str
    batch: str
    reason: str | None
    version: str | None
    label: int | None
    score: float | None
    requested_at: datetime | None
    outcome: str | None
    completed_at: datetime | None
    copy: str


@dataclass(frozen=True)
class SplitRecord:
    """A row of the table `groups`: the permanent split of a content.

    Attributes:
        content_sha256: The content.
        split: `train`, `validation` or `test`; None if the content is left out of training sets.
        reason: Why it is left out; None otherwise.
        made_at: Time of the build that found the content labeled.
    """

    content_sha256: str
    split: str | None
    reason: str | None
    made_at: datetime


@dataclass(frozen=True)
class Membership:
    """A content as a member of a training set.

    Attributes:
        training_set_id: Id of the training set.
        built_at: Time when its manifest was written.
        content_sha256: The content.
        path: Path of the member, which may be another file with the same content.
        split: `train`, `validation` or `test`.
        label: Class id that models learn.
        label_source: `folder`, or the labeling service.
    """

    training_set_id: str
    built_at: datetime
    content_sha256: str
    path: str
    split: str
    label: int
    label_source: str | None


@dataclass(frozen=True)
class TrainedModel:
    """A training on a training set with the image.

    Attributes:
        training_set_id: Id of the training set.
        run_id: Id of the MLflow run.
        experiment: Experiment of the run; empty if the run is gone.
        status: Status of the run; empty if the run is gone.
        started: Start of the run; None if the run is gone.
        version: Version of the registered model; empty if the model is not registered.
        role: Role of the version in the registry, e.g. `champion`; empty without one.
    """

    training_set_id: str
    run_id: str
    experiment: str
    status: str
    started: datetime | None
    version: str
    role: str


@dataclass(frozen=True)
class CurrentState:
    """The effective label and the current prediction of the current content.

    Attributes:
        content_sha256: The content.
        label: Class id of the effective label; None without one.
        label_source: `folder`, or the labeling service; None without a label.
        predicted_label: Class id of the current prediction; None without one.
        predicted_score: Score of the current prediction, 0..1; None without one.
        version: Model version of the current prediction; None without one.
    """

    content_sha256: str
    label: int | None
    label_source: str | None
    predicted_label: int | None
    predicted_score: float | None
    version: str | None


@dataclass(frozen=True)
class ImageTrace:
    """The history and the current state of an image.

    Attributes:
        path: Path as the tables spell it.
        lake: Root URI of the lake.
        table_versions: Version of each table that was read, by name; None for a table that the lake lacks.
        file: Row of `files`; None without one.
        current: Current state; None if the path has no current content.
        arrivals: Rows of `images`, newest first.
        class_names: Name of each class that the trace mentions, by class id.
        merges: The class that counts for each merged class, None for a retired one. Only classes of this trace.
        annotations: Annotations, newest first.
        labels: Labels that people's annotations gave.
        predictions: Predictions by all versions, newest first.
        splits: Splits of the contents.
        memberships: Training sets with a content, newest first.
        models: Trainings on these training sets, newest first.
        requests: Labeling requests, newest first.
        succession: Versions whose predictions count; None if the settings name no model registry, or if it can't be
            read.
        withdrawn: Versions that rollbacks withdrew.
        registry_error: Why MLflow can't be read; empty if it can, or if the settings name no model registry.
    """

    path: str
    lake: str
    table_versions: Mapping[str, int | None]
    file: FoundFile | None
    current: CurrentState | None
    arrivals: tuple[Arrival, ...]
    class_names: Mapping[int, str]
    merges: Mapping[int, int | None]
    annotations: tuple[Annotation, ...]
    labels: tuple[PeopleLabel, ...]
    predictions: tuple[Prediction, ...]
    splits: tuple[SplitRecord, ...]
    memberships: tuple[Membership, ...]
    models: tuple[TrainedModel, ...]
    requests: tuple[LabelingRequest, ...]
    succession: Succession | None
    withdrawn: tuple[ModelVersion, ...]
    registry_error: str = ""
