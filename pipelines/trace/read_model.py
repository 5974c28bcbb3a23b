"""Read the trace of a model version from the lake and from MLflow."""

from collections.abc import Mapping
from itertools import pairwise

from pydantic import ValidationError
from pyspark.sql import functions as F

from components.errors import InputError, TransientError
from components.lake import Lake
from components.lake.tables import EVALUATIONS, PREDICTIONS, PROMOTIONS
from components.registry.model_registry import RegisteredVersion
from components.registry.tags import (
    ACCURACY_TAG,
    COMPARED_WITH_TAG,
    DECIDED_BY_TAG,
    DECISION_TAG,
    GATE_REASON_TAG,
    REASON_TAG,
    TRAINING_SET_URI_TAG,
)
from components.settings import Settings
from components.training_set.manifest import TrainingSet
from pipelines.trace.model import DayOfPredictions, Decision, Evaluations, ModelTrace, Reign
from pipelines.trace.registry import RegisteredModel, reachable, read_registered_model
from pipelines.trace.tables import PinnedTables, optional_utc, utc


def find_version(settings: Settings, version: str) -> tuple[RegisteredModel, RegisteredVersion]:
    """Return the registered model of the settings and one of its versions.

    It does not read the lake.

    Args:
        settings: Settings of the model registry.
        version: Number of the version.

    Raises:
        InputError: No MLflow server is set, it can't be read, or the version does not exist.
    """
    settings.required("mlflow_tracking_uri")
    model = read_registered_model(settings)
    found = next((each for each in model.versions if each.version == version), None) if model else None
    if model is None or found is None:
        raise InputError(
            f"--model: '{settings.model_name}' has no version '{version}'. Name a version that the MLflow UI lists."
        )
    return model, found


def read_model(lake: Lake, settings: Settings, model: RegisteredModel, version: RegisteredVersion) -> ModelTrace:
    """Read the trace of a version. Nothing is written.

    `predictions` and `evaluations` are partitioned by the model, so no other model's rows are read, and no paths. The
    driver gets a row for each day.

    Args:
        lake: The lake.
        settings: Settings of MLflow, for its errors.
        model: The registered model.
        version: The version.

    Raises:
        InputError: The lake is of another release, or MLflow can't be read.
    """
    tables = PinnedTables(lake)
    training_set_uri = version.tags.get(TRAINING_SET_URI_TAG, "")
    with reachable(settings):
        run = model.runs.find(version.run_id) if version.run_id else None
    training_set, training_set_error = _read_training_set(lake, training_set_uri)
    predictions, undated = _read_predictions(tables, version)
    compared = [each for each in model.versions if each.tags.get(COMPARED_WITH_TAG) == version.version]
    return ModelTrace(
        model_name=version.name,
        version=version.version,
        digest=version.digest,
        lake=lake.root,
        role=model.role(version.version),
        registered_at=version.registered_at,
        training_set_uri=training_set_uri,
        training_set=training_set,
        run_id=version.run_id,
        run=run,
        decision=_decision(version.version, version.tags),
        challengers=tuple(
            _decision(each.version, each.tags) for each in sorted(compared, key=lambda each: int(each.version))
        ),
        evaluations=_read_evaluations(tables, version),
        reigns=_read_reigns(tables, version),
        predictions=predictions,
        undated=undated,
        training_set_error=training_set_error,
        table_versions=dict(tables.versions),
    )


def _decision(version: str, tags: Mapping[str, str]) -> Decision:
    reason, gate_reason = tags.get(REASON_TAG, ""), tags.get(GATE_REASON_TAG, "")
    return Decision(
        version,
        tags.get(COMPARED_WITH_TAG, ""),
        float(tags[ACCURACY_TAG]) if ACCURACY_TAG in tags else None,
        tags.get(DECISION_TAG, ""),
        reason,
        "" if gate_reason == reason else gate_reason,
        tags.get(DECIDED_BY_TAG, ""),
    )


def _read_training_set(lake: Lake, training_set_uri: str) -> tuple[TrainingSet | None, str]:
    """Return the manifest of a training set, or why it can't be read."""
    if not training_set_uri:
        return None, ""
    try:
        return TrainingSet.read(training_set_uri, lake.files), ""
    except ValidationError:
        return None, f"training_set: the manifest of '{training_set_uri}' is not of this release."
    except (InputError, TransientError) as error:
        return None, str(error)


def _read_evaluations(tables: PinnedTables, version: RegisteredVersion) -> Evaluations:
    rows = tables.of_model(EVALUATIONS, version.digest, version.name, version.version)
    images, failed, first, last = rows.agg(
        F.count("*"), F.count("error"), F.min("evaluated_at"), F.max("evaluated_at")
    ).first() or (0, 0, None, None)
    return Evaluations(images, failed, optional_utc(first), optional_utc(last))


def _read_reigns(tables: PinnedTables, version: RegisteredVersion) -> tuple[Reign, ...]:
    """Return the times as the champion.

    The driver reads all promotions of the model, because they are few.
    """
    promotions = tables.read(PROMOTIONS).where(F.col("model_name") == F.lit(version.name)).orderBy("since").collect()
    return tuple(
        Reign(
            utc(row["since"]),
            utc(following["since"]) if following else None,
            following["model_version"] or "" if following else "",
            row["reason"] or "",
        )
        for row, following in pairwise([*promotions, None])
        if row["model_digest"] == version.digest and row["model_version"] == version.version
    )


def _read_predictions(tables: PinnedTables, version: RegisteredVersion) -> tuple[tuple[DayOfPredictions, ...], int]:
    """Return the predictions by day, and the number of those without a time."""
    rows = tables.of_model(PREDICTIONS, version.digest, version.name, version.version)
    days = rows.groupBy(F.to_date("scored_at").alias("day")).agg(
        F.count("*").alias("images"), F.count("error").alias("failed"), F.avg("predicted_score").alias("score")
    )
    found = days.orderBy("day").collect()
    dated = tuple(
        DayOfPredictions(row["day"], row["images"], row["failed"], row["score"])
        for row in found
        if row["day"] is not None
    )
    return dated, sum(row["images"] for row in found if row["day"] is None)
