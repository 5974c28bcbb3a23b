"""The export of images for labeling: each image is exported exactly once.

A run exports a batch in five steps:

1. It writes a note with the destination of the batch.
2. It inserts the batch's rows into `labeling_requests`, so no later run selects its images again.
3. It copies the images.
4. It writes the manifest, which marks the batch as complete.
5. It marks the batch as finished in the note.

If a run is killed after the second step, the next run completes the batch at the destination in the note.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from components.errors import InputError, TransientError
from components.export_for_labeling.choice import candidates, choose
from components.export_for_labeling.copies import COPIED_COLUMNS, copy
from components.export_for_labeling.status import NAME, BatchStatus
from components.labeling.batches import EXPORT_LOCK, MANIFEST
from components.labeling.requests import AUDIT, UNCERTAIN
from components.lake import Lake
from components.lake.content import map_content
from components.lake.tables import LABELING_REQUESTS
from components.parameters import Choice
from components.registry.champion import read_succession, require_champion
from components.registry.model_registry import ModelRegistry
from components.registry.promotions import record_promotion
from components.run_notes import ExportNote, write_run_note
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session
from components.storage import uri
from components.storage.folder import Folder
from components.storage.notes import note_uri, read_note, write_note
from components.storage.open_folder import open_folder
from components.storage.overlaps import check_overlaps
from components.succession import Succession

REASONS = (UNCERTAIN, AUDIT)

_IMAGES_PER_JOB = 1000
_EXAMPLES_PER_REASON = 12


@dataclass(frozen=True)
class ExportedImage:
    """An exported image, for the report.

    Attributes:
        path: Path of the image.
        content: Bytes of the image file.
        name: Name of the predicted class.
        score: Top probability of the prediction, 0..1.
        reason: Reason of the request, one of `REASONS`.
    """

    path: str
    content: bytes
    name: str
    score: float
    reason: str


@dataclass
class ExportedBatch:
    """An exported batch.

    Attributes:
        name: Name of the batch and of its folder.
        manifest: URI of its manifest.
        by_reason: Number of images in the manifest, by the reason of the request.
        deleted: Number of selected images that have been deleted from the lake or replaced since.
        resumed: Whether an earlier run started the batch.
        examples: For each reason, the images with the lowest scores, in ascending order.
    """

    name: str
    manifest: str
    by_reason: Counter[str] = field(default_factory=Counter)
    deleted: int = 0
    resumed: bool = False
    examples: list[ExportedImage] = field(default_factory=list)


@dataclass
class ExportResult:
    """The result of an export.

    Attributes:
        destination: URI of the destination.
        choice: Rules by which the images were selected.
        candidates: Number of images that have a prediction, but no label and no request.
        uncertain: Number of these with a score below the threshold.
        batches: Exported batches: the unfinished batch of an earlier run if there is one, then the new batch if any
            image was selected.
        seconds: Duration of the run, in seconds.
    """

    destination: str
    choice: Choice
    candidates: int = 0
    uncertain: int = 0
    batches: list[ExportedBatch] = field(default_factory=list)
    seconds: float = 0

    @property
    def batch(self) -> str:
        """Name of the last batch; empty if there is none."""
        return self.batches[-1].name if self.batches else ""

    @property
    def count(self) -> int:
        """Number of images in the last batch."""
        return self.batches[-1].by_reason.total() if self.batches else 0

    @property
    def manifest(self) -> str:
        """URI of the last batch's manifest; empty if there is none."""
        return self.batches[-1].manifest if self.batches else ""


def export(settings: Settings, destination: str = "", choice: Choice = Choice()) -> ExportResult:  # noqa: B008 - frozen
    """Export images to where people label them.

    Args:
        settings: Settings of the lake, the registry, the model and the credentials of the destination.
        destination: Folder or URL of an Azure Blob container. If empty, the setting `labeling_destination` applies.
        choice: Rules by which images are selected.

    Raises:
        InputError: The destination is not writable or overlaps another folder, or the model has no champion.
        TimeoutError: Another run exports images of this lake.
    """
    destination = destination or settings.required("labeling_destination")
    check_overlaps(settings, "labeling_destination", destination, "destination")
    folder = open_folder(destination, "destination", settings)
    folder.check()
    registry = ModelRegistry.open(settings)
    succession = read_succession(registry, require_champion(registry))
    lake = Lake.open(spark_session(settings, workers_decode=False), settings)
    record_promotion(lake, registry)
    result = export_batch(lake, settings, folder, succession, choice)
    exported = sum(batch.by_reason.total() for batch in result.batches)
    write_run_note(settings, ExportNote(destination=result.destination, exported=exported))
    return result


def export_batch(
    lake: Lake,
    settings: Settings,
    destination: Folder,
    succession: Succession,
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> ExportResult:
    """Export images of an open lake by the current predictions of a succession.

    Args:
        lake: The lake.
        settings: Settings with the credentials of the destination of an unfinished batch.
        destination: Destination of the new batch.
        succession: The models whose predictions count.
        choice: Rules by which images are selected.
    """
    started = monotonic()
    result = ExportResult(destination.uri, choice)
    with lake.writer(EXPORT_LOCK):
        status = read_note(lake.root, NAME, BatchStatus, lake.files)
        resumed = _resume(lake, settings, status) if status and not status.finished else None
        new = _export_new(lake, destination, succession, result)
    result.batches = [batch for batch in (resumed, new) if batch]
    result.seconds = monotonic() - started
    return result


def _resume(lake: Lake, settings: Settings, status: BatchStatus) -> ExportedBatch | None:
    """Complete the batch of a killed run; return None if the run had not inserted its requests yet."""
    requests = lake.read(LABELING_REQUESTS).where(F.col("batch") == status.batch).collect()
    if not requests:
        return None
    try:
        batch = _complete(lake, open_folder(status.destination, "destination", settings), status.batch, requests)
    except InputError as error:
        raise InputError(
            f"{error} Batch '{status.batch}' of an earlier run must be completed there first. To abandon the batch,"
            f" delete '{note_uri(lake.root, NAME)}'."
        ) from error
    batch.resumed = True
    return batch


def _export_new(lake: Lake, destination: Folder, succession: Succession, result: ExportResult) -> ExportedBatch | None:
    # Taken before the lake is read: an image scored meanwhile is newer than this batch, so the next audit can draw it.
    now = datetime.now(UTC)
    selectable = candidates(lake, succession, result.choice, now).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        result.candidates, result.uncertain = selectable.agg(F.count("*"), F.count_if("uncertain")).first()
        chosen = choose(selectable, result.choice).collect()
    finally:
        selectable.unpersist()
    if not chosen:
        return None
    # The time is for people. The digest distinguishes the batches of lakes that share a destination.
    name = f"{now:%Y%m%dT%H%M%SZ}-{hashlib.sha256(f'{lake.root} {now}'.encode()).hexdigest()[:8]}"
    prediction = ("model_version", "predicted_label", "predicted_score")
    rows = [
        (
            *(row["path"], row["content_sha256"], name, destination.kind, row["reason"], succession.model_name),
            *(row[column] for column in prediction),
            *(now, None, None),
        )
        for row in chosen
    ]
    status = BatchStatus(batch=name, destination=destination.uri, finished=False)
    write_note(lake.root, NAME, status, lake.files)
    lake.append(LABELING_REQUESTS, frame(lake.spark, rows, LABELING_REQUESTS.columns))
    return _complete(lake, destination, name, chosen)


def _complete(lake: Lake, destination: Folder, name: str, requests: Sequence[Row]) -> ExportedBatch:
    """Write the copies and the manifest of a batch whose requests exist, and mark it as finished."""
    manifest = f"{name}/{MANIFEST}"
    batch = ExportedBatch(name, uri.join(destination.uri, manifest))
    if destination.status(manifest) is not None:
        batch.by_reason = Counter(row["reason"] for row in requests)
    else:
        requests = sorted(requests, key=lambda row: (row["predicted_score"], row["path"]))
        names = lake.classes().names
        files = _copy(lake, destination, batch, requests, names)
        exported = [row for row in requests if row["path"] in files]
        lines = (_manifest_line(name, row, files[row["path"]], names) for row in exported)
        destination.write(manifest, "".join(lines).encode(), {})
        batch.by_reason = Counter(row["reason"] for row in exported)
        batch.deleted = len(requests) - len(exported)
    status = BatchStatus(batch=name, destination=destination.uri, finished=True)
    write_note(lake.root, NAME, status, lake.files)
    return batch


def _copy(
    lake: Lake, destination: Folder, batch: ExportedBatch, requests: Sequence[Row], names: dict[int, str]
) -> dict[str, str]:
    """Copy the images of a batch, and return the name of each copy by the path of its image."""
    examples = [
        row for reason in REASONS for row in [row for row in requests if row["reason"] == reason][:_EXAMPLES_PER_REASON]
    ]
    shown = {row["path"] for row in examples}
    # In the order of paths, because neighbors share row groups.
    wanted = sorted(
        (row["path"], row["content_sha256"], row["path"] in shown, _as_text(_describe(batch.name, row, names)))
        for row in requests
    )
    files: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for start in range(0, len(wanted), _IMAGES_PER_JOB):
        images = _find_current(lake, wanted[start : start + _IMAGES_PER_JOB])
        copied = map_content(lake, images, copy(destination, batch.name), COPIED_COLUMNS).collect()
        for row in copied:
            if row["error"]:
                raise (TransientError if row["transient"] else InputError)(row["error"])
            files[row["path"]] = row["file"]
            if row["content"] is not None:
                contents[row["path"]] = bytes(row["content"])
        print(f"progress: {len(files):,} images exported", flush=True)
    batch.examples = [
        ExportedImage(
            row["path"],
            contents[row["path"]],
            names.get(row["predicted_label"]) or str(row["predicted_label"]),
            row["predicted_score"],
            row["reason"],
        )
        for row in examples
        if row["path"] in contents
    ]
    return files


def _find_current(lake: Lake, wanted: Sequence[tuple[str, str, bool, dict[str, str]]]) -> DataFrame:
    """Return the wanted images whose content is still the current one of their path, as `map_content` needs them.

    Args:
        lake: The lake.
        wanted: Path, content hash, whether the report shows the image, and metadata, in the order of paths.
    """
    rows = frame(lake.spark, wanted, "path STRING, content_sha256 STRING, shown BOOLEAN, metadata MAP<STRING, STRING>")
    # Literals, because Delta skips files by literals only.
    in_range = F.col("path").between(F.lit(wanted[0][0]), F.lit(wanted[-1][0]))
    current = lake.current_images().where(in_range).select("path", "content_sha256", "load_date", "ingested_at")
    return current.join(F.broadcast(rows), ["path", "content_sha256"])


def _manifest_line(batch: str, request: Row, file: str, names: dict[int, str]) -> str:
    return json.dumps({"path": request["path"], "file": file, **_describe(batch, request, names)}) + "\n"


def _as_text(description: dict[str, Any]) -> dict[str, str]:
    """Return the description of an image as metadata, whose values are text."""
    return {key: str(value) for key, value in description.items() if value is not None}


def _describe(batch: str, request: Row, names: dict[int, str]) -> dict[str, Any]:
    """Return the description of an exported image: its prediction, and the reason of the request.

    It lacks the path, which may be longer than the metadata of a blob can be.
    """
    return {
        "predicted_label": request["predicted_label"],
        "name": names.get(request["predicted_label"]),
        "score": request["predicted_score"],
        "reason": request["reason"],
        "model_version": request["model_version"],
        "batch": batch,
    }
