"""Sample traces of an image and of a model version."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from components.lake.tables import IMAGE
from components.registry.mlflow_runs import MLflowRun
from components.succession import ModelVersion, Succession
from components.training_set.manifest import TrainingSet
from pipelines.trace.image import (
    Annotation,
    Arrival,
    CurrentState,
    FoundFile,
    ImageTrace,
    LabelingRequest,
    Membership,
    PeopleLabel,
    Prediction,
    SplitRecord,
    TrainedModel,
)
from pipelines.trace.model import DayOfPredictions, Decision, Evaluations, ModelTrace, Reign

OLD, NEW = "a" * 64, "b" * 64
FIRST, SECOND = datetime(2026, 5, 4, 8, 30, tzinfo=UTC), datetime(2026, 6, 1, 9, tzinfo=UTC)
MODEL = "image-classifier"
PATH = "file:/landing/2026-05-04/3.cat/0001.jpg"
TRAINING_SET = "5f1d0c9b2a7e4836"
BATCH = "20260602T020000Z-9a8b7c6d"
TABLE_VERSIONS = {"files": 12, "images": 7, "labels": 3, "predictions": 9, "groups": None}


def image_trace(picture: bytes | None = None, names: Sequence[str] = ("cat", "dog", "kitten")) -> ImageTrace:
    """Return the trace of an image whose file was replaced once, and which people labeled.

    Args:
        picture: The current picture, and the earlier one.
        names: Names of the classes 3, 4 and 5, of which the last one was merged into the first one.
    """
    cat, dog, kitten = range(3, 6)
    return ImageTrace(
        path=PATH,
        lake="file:///lake",
        table_versions=TABLE_VERSIONS,
        file=FoundFile(IMAGE, None, "file:/landing", 68_000, SECOND, NEW, dog, SECOND),
        current=CurrentState(NEW, cat, "folder-service", dog, 0.912, "4"),
        arrivals=(
            Arrival(NEW, NEW, "jpeg", 68_000, SECOND, None, "plan-2", SECOND, picture),
            Arrival(None, None, None, 12, FIRST, "not an image", "plan-1b", FIRST + timedelta(days=1)),
            Arrival(OLD, "c" * 64, "heic", 71_000, FIRST, None, "plan-1", FIRST, picture),
        ),
        class_names=dict(zip(range(3, 6), names, strict=False)),
        merges={kitten: cat},
        annotations=(
            Annotation(NEW, "folder-service", names[0], kitten, SECOND + timedelta(days=2), BATCH, False),
            Annotation(NEW, "folder-service", "ben", dog, SECOND + timedelta(days=1), BATCH, True),
        ),
        labels=(PeopleLabel(NEW, kitten, "folder-service", SECOND + timedelta(days=2)),),
        predictions=(
            Prediction(NEW, MODEL, "4", "d" * 64, dog, 0.912, SECOND, None),
            Prediction(OLD, MODEL, "3", "e" * 64, None, None, FIRST, "damaged"),
        ),
        splits=(SplitRecord(NEW, "train", None, SECOND + timedelta(days=3)),),
        memberships=(Membership(TRAINING_SET, SECOND + timedelta(days=3), NEW, PATH, "train", cat, "folder-service"),),
        models=(
            TrainedModel(TRAINING_SET, "0b6c37b1", "images", "FINISHED", SECOND + timedelta(days=3), "5", "challenger"),
            TrainedModel(TRAINING_SET, "1c7d48c2", "images", "FAILED", SECOND + timedelta(days=3), "", ""),
        ),
        requests=(
            LabelingRequest(
                NEW, BATCH, "uncertain", "4", dog, 0.912, SECOND + timedelta(days=1), "labeled",
                SECOND + timedelta(days=2), f"file:///to-label/{BATCH}/images/bbbbbbbbbbbbbbbb-0001.jpg",
            ),
        ),
        succession=Succession(MODEL, (ModelVersion("4", "d" * 64), ModelVersion("3", "e" * 64))),
        withdrawn=(ModelVersion("2", "f" * 64),),
    )  # fmt: skip


def empty_trace() -> ImageTrace:
    """Return the trace of a file in quarantine, without a model registry."""
    refused = FoundFile("quarantine", "not an image", None, None, None, None, None, FIRST)
    return replace(
        image_trace(), file=refused, current=None, arrivals=(), class_names={}, merges={}, annotations=(), labels=(),
        predictions=(), splits=(), memberships=(), models=(), requests=(), succession=None, withdrawn=(),
    )  # fmt: skip


def model_trace(training_set: TrainingSet | None = None, days: int = 3, name: str = MODEL) -> ModelTrace:
    """Return the trace of a version that replaced a champion and was replaced itself.

    Args:
        training_set: Its training set; None for one that was deleted.
        days: Number of days with predictions.
        name: Name of the registered model.
    """
    run = MLflowRun(
        "0b6c37b1d4a24d0c8f7e",
        "luminous-cat-1",
        "images",
        "FINISHED",
        FIRST,
        FIRST + timedelta(hours=1),
        {"backbone": "xception", "epochs": "12"},
        {"val_accuracy": 0.953},
        {"code.version": "0.2.0", "mlflow.user": "ada"},
    )
    return ModelTrace(
        model_name=name,
        version="4",
        digest="d" * 64,
        lake="file:///lake",
        table_versions=TABLE_VERSIONS,
        role="predecessor",
        registered_at=FIRST + timedelta(hours=2),
        training_set_uri=f"file:///lake/training_sets/{TRAINING_SET}",
        training_set=training_set,
        run_id=run.run_id,
        run=run,
        decision=Decision("4", "3", 0.953, "promoted", "it is better", "", "gate"),
        challengers=(Decision("5", "4", 0.961, "promoted", "it is better, too", "too few images", "ada"),),
        evaluations=Evaluations(5_000, 2, FIRST, SECOND),
        reigns=(Reign(FIRST, SECOND, "5", "it is better"),),
        predictions=tuple(
            DayOfPredictions(date(2026, 5, 4) + timedelta(days=day), 50_000 + day, day, 0.91) for day in range(days)
        ),
    )
