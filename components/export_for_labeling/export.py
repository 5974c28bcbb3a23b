"""Export: the images that people should label go to where they label them, each once.

A batch is sent in steps: a note of where it goes; its rows in `labeling_requests`, by which nobody chooses its images
again; the copies; the manifest, which tells the labelling people that the batch is whole; a note that it is finished. A
run that is killed between any two leaves a batch that the next run finishes, at the destination of the note.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from time import monotonic
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from components.errors import InputError
from components.export_for_labeling.choice import AUDIT, DOUBTFUL, Choice, candidates, choose
from components.export_for_labeling.copies import COPIED_COLUMNS, copy
from components.export_for_labeling.destinations import Destination, open_destination
from components.export_for_labeling.unfinished import Note, note_path, read_unfinished, write_note
from components.lake import Lake, frame, spark_session
from components.lake.tables import CLASSES, IMAGES, LABELING_REQUESTS
from components.settings import Settings
from components.storage import uri

MANIFEST = "manifest.jsonl"
REASONS = (DOUBTFUL, AUDIT)

_IMAGES_PER_JOB = 1000
_EXAMPLES_PER_REASON = 12


@dataclass(frozen=True)
class Example:
    """An image that was sent.

    Attributes:
        path: Which image it is.
        content: Its file.
        name: Predicted class.
        score: The best score, 0..1.
        reason: Why it was sent.
    """

    path: str
    content: bytes
    name: str
    score: float
    reason: str


@dataclass
class Batch:
    """A batch that was sent.

    Attributes:
        name: Its name, and its folder's.
        manifest: URI of its manifest.
        by_reason: Images in the manifest, by the reason why they were sent.
        gone: Images that were chosen and are no longer in the lake.
        resumed: Whether an earlier run began it.
        examples: Some of the images: of each reason those of the lowest scores, lowest first.
    """

    name: str
    manifest: str
    by_reason: Counter[str] = field(default_factory=Counter)
    gone: int = 0
    resumed: bool = False
    examples: list[Example] = field(default_factory=list)


@dataclass
class ExportResult:
    """What a run of export did.

    Attributes:
        destination: Where images go.
        choice: How they were chosen.
        candidates: Images that could have been sent: scored, without a label, never sent.
        doubtful: Of those, with a score under the threshold.
        batches: The batches that were sent: one that an earlier run had left unfinished, a new one, both or none.
        seconds: How long it took.
    """

    destination: str
    choice: Choice
    candidates: int = 0
    doubtful: int = 0
    batches: list[Batch] = field(default_factory=list)
    seconds: float = 0

    @property
    def batch(self) -> str:
        """Name of the last batch; empty if there is none."""
        return self.batches[-1].name if self.batches else ""

    @property
    def count(self) -> int:
        """Images in the last batch."""
        return self.batches[-1].by_reason.total() if self.batches else 0

    @property
    def manifest(self) -> str:
        """URI of the last batch's manifest; empty if there is none."""
        return self.batches[-1].manifest if self.batches else ""


def export(settings: Settings, destination: str = "", choice: Choice = Choice()) -> ExportResult:  # noqa: B008 - frozen
    """Send images to people.

    Args:
        settings: Name the lake, and hold the access to the destination.
        destination: Folder or URL of an Azure Blob container; empty takes it from the settings.
        choice: How images are chosen.

    Raises:
        InputError: The destination can't be written to.
        TimeoutError: Another run exports images of this lake.
    """
    place = open_destination(destination or settings.required("labeling_destination"), settings)
    place.check()
    return export_batch(Lake.open(spark_session(settings, workers_decode=False), settings), settings, place, choice)


def export_batch(
    lake: Lake,
    settings: Settings,
    destination: Destination,
    choice: Choice = Choice(),  # noqa: B008 - frozen
) -> ExportResult:
    """Do what `export` does, in a session that is there already."""
    started = monotonic()
    result = ExportResult(destination.uri, choice)
    with lake.writer("export_for_labeling"):
        unfinished = read_unfinished(lake)
        resumed = _resume(lake, settings, unfinished) if unfinished else None
        new = _send_new(lake, destination, result)
    result.batches = [batch for batch in (resumed, new) if batch]
    result.seconds = monotonic() - started
    return result


def _resume(lake: Lake, settings: Settings, note: Note) -> Batch | None:
    """Finish the batch of a run that was killed, unless that run had not asked for anything yet."""
    requests = lake.read(LABELING_REQUESTS).where(F.col("batch") == note.batch).collect()
    if not requests:
        return None
    try:
        batch = _finish(lake, open_destination(note.destination, settings), note.batch, requests)
    except InputError as error:
        raise InputError(
            f"{error} Batch '{note.batch}' of an earlier run has to be finished there first; to give its images up,"
            f" delete '{note_path(lake)}'."
        ) from error
    batch.resumed = True
    return batch


def _send_new(lake: Lake, destination: Destination, result: ExportResult) -> Batch | None:
    # Before the lake is looked at: what is scored meanwhile came after this batch, and may be the next one's audit.
    now = datetime.now(UTC)
    known = candidates(lake, result.choice).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        result.candidates, result.doubtful = known.agg(F.count("*"), F.count_if("doubtful")).first()
        chosen = choose(known, result.choice).collect()
    finally:
        known.unpersist()
    if not chosen:
        return None
    # The time is for people who look at the folder; the digest keeps lakes apart that send to the same one.
    name = f"{now:%Y%m%dT%H%M%SZ}-{hashlib.sha256(f'{lake.root} {now}'.encode()).hexdigest()[:8]}"
    said = ("reason", "model_version", "predicted_label", "predicted_score")
    rows = [
        (row["path"], name, destination.service, *(row[column] for column in said), now, None, None) for row in chosen
    ]
    write_note(lake, Note(batch=name, destination=destination.uri, finished=False))
    lake.insert_new(LABELING_REQUESTS, frame(lake.spark, rows, LABELING_REQUESTS.columns))
    return _finish(lake, destination, name, chosen)


def _finish(lake: Lake, destination: Destination, name: str, requests: Sequence[Row]) -> Batch:
    """Send a batch that `labeling_requests` has: the copies, then the manifest."""
    manifest = f"{name}/{MANIFEST}"
    batch = Batch(name, uri.join(destination.uri, manifest))
    if destination.exists(manifest):
        batch.by_reason = Counter(row["reason"] for row in requests)
    else:
        requests = sorted(requests, key=lambda row: (row["predicted_score"], row["path"]))
        names = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
        files = _copy(lake, destination, batch, requests, names)
        sent = [row for row in requests if row["path"] in files]
        lines = (_manifest_line(name, row, files[row["path"]], names) for row in sent)
        destination.write(manifest, "".join(lines).encode(), {})
        batch.by_reason = Counter(row["reason"] for row in sent)
        batch.gone = len(requests) - len(sent)
    write_note(lake, Note(batch=name, destination=destination.uri, finished=True))
    return batch


def _copy(
    lake: Lake, destination: Destination, batch: Batch, requests: Sequence[Row], names: dict[int, str]
) -> dict[str, str]:
    """Write the copies and return the name of each by its image's path."""
    examples = [
        row for reason in REASONS for row in [row for row in requests if row["reason"] == reason][:_EXAMPLES_PER_REASON]
    ]
    shown = F.col("path").isin([row["path"] for row in examples])
    about = [(row["path"], _metadata(_said(batch.name, row, names))) for row in requests]
    wanted = F.broadcast(frame(lake.spark, about, "path STRING, about MAP<STRING, STRING>"))
    images = lake.read(IMAGES)
    files: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for ingests in _ingests(images.join(wanted, "path", "left_semi")):
        copied = (
            # Images that came in together lie together: the files of others are not even opened.
            images.where(F.col("ingested_at").isin([F.timestamp_micros(F.lit(each)) for each in ingests]))
            .join(wanted, "path")
            .select("path", "content_sha256", "content", shown.alias("shown"), "about")
            .mapInArrow(copy(destination, batch.name), COPIED_COLUMNS)
            .collect()
        )
        for row in copied:
            if row["error"]:
                raise InputError(row["error"])
            files[row["path"]] = row["file"]
            if row["content"] is not None:
                contents[row["path"]] = bytes(row["content"])
        print(f"progress: {len(files):,} images exported", flush=True)
    batch.examples = [
        Example(
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


def _ingests(images: DataFrame) -> Iterator[list[int]]:
    """Yield the times at which images came in, oldest first, in microseconds, some `_IMAGES_PER_JOB` images a list."""
    counts = images.groupBy(F.unix_micros("ingested_at").alias("time")).count().orderBy("time").collect()
    before = 0
    jobs = []
    for row in counts:
        jobs.append((before // _IMAGES_PER_JOB, row["time"]))
        before += row["count"]
    for _, times in groupby(jobs, key=lambda each: each[0]):
        yield [time for _, time in times]


def _manifest_line(batch: str, request: Row, file: str, names: dict[int, str]) -> str:
    return json.dumps({"path": request["path"], "file": file, **_said(batch, request, names)}) + "\n"


def _metadata(said: dict[str, Any]) -> dict[str, str]:
    """Return what goes with a copy, as text. Not its path: that may be longer than metadata can be."""
    return {key: str(value) for key, value in said.items() if value is not None}


def _said(batch: str, request: Row, names: dict[int, str]) -> dict[str, Any]:
    """Return what is known of an image that is sent."""
    return {
        "predicted_label": request["predicted_label"],
        "name": names.get(request["predicted_label"]),
        "score": request["predicted_score"],
        "reason": request["reason"],
        "model_version": request["model_version"],
        "batch": batch,
    }
