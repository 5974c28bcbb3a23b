"""The trace of a model version, as one value. All times are UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from components.registry.mlflow_runs import MLflowRun
from components.training_set.manifest import TrainingSet


@dataclass(frozen=True)
class Decision:
    """The decision about a version that was compared with a champion.

    Attributes:
        version: The version.
        compared_with: The champion of that time; empty without one.
        accuracy: Accuracy on the measured test images, 0..1; None if unknown.
        decision: `promoted`, `kept` or `rolled back`; empty if nobody decided yet.
        reason: Reason of the last decision.
        gate_reason: Reason of the gate, if a person decided later; empty otherwise.
        decided_by: Person, or `gate`.
    """

    version: str
    compared_with: str
    accuracy: float | None
    decision: str
    reason: str
    gate_reason: str
    decided_by: str


@dataclass(frozen=True)
class Evaluations:
    """The stored predictions of a version for test images.

    Attributes:
        images: Number of test images.
        failed: Number of test images that could not be classified.
        first: Time of the first prediction; None without one.
        last: Time of the last prediction; None without one.
    """

    images: int
    failed: int
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Reign:
    """A time in which the version was the champion.

    Attributes:
        since: Start: time when the first step after the promotion recorded it.
        until: Time when the next champion was recorded; None if there is none.
        successor: Version of the next champion; empty if there is none.
        reason: Reason of the promotion.
    """

    since: datetime
    until: datetime | None
    successor: str
    reason: str


@dataclass(frozen=True)
class DayOfPredictions:
    """The predictions of a day.

    Attributes:
        day: The day.
        images: Number of images.
        failed: Number of images that could not be decoded.
        mean_score: Mean top score, 0..1; None without a score.
    """

    day: date
    images: int
    failed: int
    mean_score: float | None


@dataclass(frozen=True)
class ModelTrace:
    """The history and the role of a version of a registered model.

    Attributes:
        model_name: Registered model.
        version: Number of the version.
        digest: SHA-256 of the model's files; empty for a version that register_model did not create.
        lake: Root URI of the lake.
        table_versions: Version of each table that was read, by name; None for a table that the lake lacks.
        role: Role of the version in the registry, e.g. `champion`; empty without one.
        registered_at: Time of the registration; None if unknown.
        training_set_uri: Folder of the training set; empty if the version names none.
        training_set: Its manifest; None if it can't be read, or if the version names none.
        run_id: Id of the MLflow run; empty if the version names none.
        run: The MLflow run; None if it is gone.
        decision: The decision about this version.
        challengers: Decisions about other versions that were compared with this one.
        evaluations: Predictions of test images.
        reigns: Times as the champion, oldest first.
        predictions: Predictions by day, oldest first.
        undated: Number of predictions without a time.
        training_set_error: Why the manifest can't be read; empty otherwise.
    """

    model_name: str
    version: str
    digest: str
    lake: str
    table_versions: Mapping[str, int | None]
    role: str
    registered_at: datetime | None
    training_set_uri: str
    training_set: TrainingSet | None
    run_id: str
    run: MLflowRun | None
    decision: Decision
    challengers: tuple[Decision, ...]
    evaluations: Evaluations
    reigns: tuple[Reign, ...]
    predictions: tuple[DayOfPredictions, ...]
    undated: int = 0
    training_set_error: str = ""
