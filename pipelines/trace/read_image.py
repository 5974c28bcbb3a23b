"""Read the trace of an image from the lake and from MLflow.

Each table is read by a filter that lets Delta skip files and Parquet skip row groups, so a trace reads little more than
the rows of its path:

- `files` is clustered by path.
- `images` is sorted by path within its files. Only the row groups with the path are read, without content. Pictures are
  read from their own row groups only.
- `annotations`, `labels`, `predictions` and `labeling_requests` have statistics of path for each file. A file that an
  export or an import wrote has paths of many days, so its whole column `path` is read.
- `groups`, `segments` and training sets: see `membership`.
- `evaluations` is read for test images only, and only for the champion, its predecessors and the challenger.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from components.errors import InputError
from components.labeling.counting import is_undone, seen_content
from components.lake import Lake
from components.lake.content import read_content
from components.lake.tables import (
    ANNOTATIONS,
    EVALUATIONS,
    FILES,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
)
from components.lake.views import current_images, current_predictions, effective_labels
from components.settings import Settings
from components.spark.frames import frame
from components.storage import uri
from components.succession import NO_CHAMPION, Succession
from components.training_set.manifest import SplitName
from pipelines.trace.copies import Copies
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
    TrainedModel,
)
from pipelines.trace.membership import find_memberships, find_splits
from pipelines.trace.registry import RegisteredModel, reachable, read_registered_model
from pipelines.trace.tables import PinnedTables, optional_utc

# For a path whose file was replaced often. A photograph has megabytes.
_MAXIMUM_PICTURES = 6
_NO_TIME = datetime.min.replace(tzinfo=UTC)


def read_image(lake: Lake, settings: Settings, path: str) -> ImageTrace:
    """Read the trace of an image. Nothing is written.

    Args:
        lake: The lake.
        settings: Settings of the model registry and of the labeling destination, which may both be missing.
        path: Path of the image as the tables spell it, or its URI.

    Raises:
        InputError: The path is malformed or not in the lake, or the lake is of another release.
    """
    path = uri.column_spelling(uri.normalize(path, "path"))
    tables = PinnedTables(lake)
    file = _read_file(tables, path)
    arrivals = _read_arrivals(tables, path)
    if file is None and not arrivals:
        raise InputError(
            f"path: '{path}' is not in the lake '{lake.root}'. Give a path of the table files, which"
            " `image-pipelines query` shows."
        )
    model, registry_error = _read_registry(settings)
    succession = model.succession if model else None
    hashes = sorted({each.content_sha256 for each in arrivals if each.content_sha256})
    splits = find_splits(tables, hashes)
    memberships = find_memberships(tables, splits, hashes)
    tested = [each.content_sha256 for each in splits if each.split == SplitName.TEST.value]
    predictions = sorted(
        _read_predictions(tables, path) + _read_evaluations(tables, tested, model),
        key=lambda each: each.predicted_at or _NO_TIME,
        reverse=True,
    )
    models, trainings_error = _read_models(settings, model, memberships)
    current = _read_current(tables, path, succession or NO_CHAMPION)
    annotations, labels = _read_annotations(tables, path), _read_labels(tables, path)
    requests = _read_requests(tables, path, Copies(settings), arrivals)
    mentioned: set[int | None] = {each.label for each in annotations}
    mentioned |= {each.label for each in labels} | {each.label for each in predictions}
    mentioned |= {each.label for each in requests} | {each.label for each in memberships}
    mentioned |= {file.folder_label} if file else set()
    mentioned |= {current.label, current.predicted_label} if current else set()
    names, merges = _read_classes(tables, {label for label in mentioned if label is not None})
    return ImageTrace(
        path=path,
        lake=lake.root,
        file=file,
        current=current,
        arrivals=arrivals,
        class_names=names,
        merges=merges,
        annotations=annotations,
        labels=labels,
        predictions=tuple(predictions),
        splits=splits,
        memberships=tuple(memberships),
        models=models,
        requests=requests,
        succession=succession,
        withdrawn=model.withdrawn_versions() if model else (),
        registry_error=registry_error or trainings_error,
        table_versions=dict(tables.versions),
    )


def _read_registry(settings: Settings) -> tuple[RegisteredModel | None, str]:
    """Return the registered model, or why it can't be read.

    An image has a trace without it.
    """
    try:
        return read_registered_model(settings), ""
    except InputError as error:
        return None, str(error)


def _read_file(tables: PinnedTables, path: str) -> FoundFile | None:
    row = tables.held_of_path(FILES, path).first()
    if row is None:
        return None
    return FoundFile(
        row["state"],
        row["reason"],
        row["source"],
        row["length"],
        optional_utc(row["modificationTime"]),
        row["content_sha256"],
        row["folder_label"],
        optional_utc(row["ingested_at"]),
    )


def _read_arrivals(tables: PinnedTables, path: str) -> tuple[Arrival, ...]:
    """Return the rows of `images`, newest first, with the newest pictures."""
    stored = tables.of_path(IMAGES, path).drop("content").orderBy(F.desc("ingested_at"), "content_sha256").collect()
    shown = [row for row in stored if row["content_sha256"] is not None][:_MAXIMUM_PICTURES]
    pictures = _read_pictures(tables.lake, shown)
    return tuple(
        Arrival(
            row["content_sha256"],
            row["source_sha256"],
            row["format"],
            row["length"],
            optional_utc(row["modificationTime"]),
            row["reason"],
            row["batch"],
            optional_utc(row["ingested_at"]),
            pictures.get((row["content_sha256"], row["ingested_at"])) if row in shown else None,
        )
        for row in stored
    )


def _read_pictures(lake: Lake, arrivals: list[Row]) -> dict[tuple[str, Any], bytes]:
    if not arrivals:
        return {}
    key = ("path", "content_sha256", "load_date", "ingested_at")
    rows = [
        (row["path"], row["content_sha256"], row["load_date"], row["ingested_at"].astimezone(UTC))
        for row in arrivals
        if row["ingested_at"] is not None
    ]
    columns = ", ".join(f"{name} {IMAGES.schema[name].dataType.simpleString()}" for name in key)
    found = read_content(lake, frame(lake.spark, rows, columns)).collect()
    return {
        (row["content_sha256"], row["ingested_at"]): bytes(row["content"])
        for row in found
        if row["content"] is not None
    }


def _read_current(tables: PinnedTables, path: str, succession: Succession) -> CurrentState | None:
    """Return the state of the current content, by the definitions of `image_data`."""
    classes = tables.classes()
    current = current_images(tables.held_of_path(FILES, path)).select("path", "content_sha256", "folder_label")
    labeled = effective_labels(current, tables.held_of_path(LABELS, path), classes).first()
    if labeled is None:
        return None
    predictions = current_predictions(tables.held_of_path(PREDICTIONS, path), succession, classes)
    predicted = predictions.where(F.col("content_sha256") == F.lit(labeled["content_sha256"])).first()
    return CurrentState(
        labeled["content_sha256"],
        labeled["label"],
        labeled["label_source"],
        predicted["predicted_label"] if predicted else None,
        predicted["predicted_score"] if predicted else None,
        predicted["model_version"] if predicted else None,
    )


def _read_annotations(tables: PinnedTables, path: str) -> tuple[Annotation, ...]:
    rows = _newest_first(
        tables.of_path(ANNOTATIONS, path).withColumns({"_undone": is_undone(), "content_sha256": seen_content()}),
        "annotated_at",
    )
    return tuple(
        Annotation(
            row["content_sha256"],
            row["service"],
            row["annotator"],
            row["label"],
            optional_utc(row["annotated_at"]),
            row["batch"],
            row["_undone"],
        )
        for row in rows
    )


def _read_labels(tables: PinnedTables, path: str) -> tuple[PeopleLabel, ...]:
    return tuple(
        PeopleLabel(row["content_sha256"], row["label"], row["source"], optional_utc(row["labeled_at"]))
        for row in _newest_first(tables.held_of_path(LABELS, path), "labeled_at")
    )


def _read_predictions(tables: PinnedTables, path: str) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(
            row["content_sha256"],
            row["model_name"],
            row["model_version"],
            row["model_digest"],
            row["predicted_label"],
            row["predicted_score"],
            optional_utc(row["scored_at"]),
            row["error"],
        )
        for row in _newest_first(tables.held_of_path(PREDICTIONS, path), "scored_at")
    )


def _read_evaluations(tables: PinnedTables, tested: list[str], model: RegisteredModel | None) -> tuple[Prediction, ...]:
    """Return the predictions of test images by current versions.

    These are the versions whose predictions count, and the challenger.
    """
    versions = model.evaluated_digests() if model else {}
    if model is None or not tested or not versions:
        return ()
    rows = tables.read(EVALUATIONS).where(
        F.col("model_digest").isin(list(versions)) & F.col("content_sha256").isin(tested)
    )
    return tuple(
        Prediction(
            row["content_sha256"],
            model.succession.model_name,
            versions[row["model_digest"]],
            row["model_digest"],
            row["predicted_label"],
            row["predicted_score"],
            optional_utc(row["evaluated_at"]),
            row["error"],
            is_test=True,
        )
        for row in _newest_first(rows, "evaluated_at")
    )


def _read_requests(
    tables: PinnedTables, path: str, copies: Copies, arrivals: tuple[Arrival, ...]
) -> tuple[LabelingRequest, ...]:
    pictures = {each.content_sha256: each.picture for each in arrivals if each.picture}
    return tuple(
        LabelingRequest(
            row["content_sha256"],
            row["batch"],
            row["reason"],
            row["model_version"],
            row["predicted_label"],
            row["predicted_score"],
            optional_utc(row["requested_at"]),
            row["outcome"],
            optional_utc(row["completed_at"]),
            copies.find(row["batch"], path, row["content_sha256"], pictures.get(row["content_sha256"])),
        )
        for row in _newest_first(tables.of_path(LABELING_REQUESTS, path), "requested_at")
    )


def _read_classes(tables: PinnedTables, labels: set[int]) -> tuple[Mapping[int, str], Mapping[int, int | None]]:
    """Return the names of classes and of the classes that replace them, and merges."""
    classes = tables.classes()
    merges = {label: classes.merges[label] for label in labels if label in classes.merges}
    shown = labels | {end for end in merges.values() if end is not None}
    return {label: name for label, name in classes.names.items() if label in shown}, merges


def _read_models(
    settings: Settings, model: RegisteredModel | None, memberships: list[Membership]
) -> tuple[tuple[TrainedModel, ...], str]:
    """Return the trainings on the training sets, or why they can't be read."""
    if model is None:
        return (), ""
    try:
        with reachable(settings):
            return model.trained_on([each.training_set_id for each in memberships]), ""
    except InputError as error:
        return (), str(error)


def _newest_first(rows: DataFrame, time: str) -> list[Row]:
    return list(rows.orderBy(F.desc(time)).collect())
