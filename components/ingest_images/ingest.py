"""Ingest: each image file of a landing folder comes into `images` or `quarantine`, exactly once.

Spark's file source remembers the files it has seen in a checkpoint, and `foreachBatch` may repeat a batch that was cut
off. So both tables are written by insert-only MERGE on their keys: a repeated batch, a deleted checkpoint or a second
stream over the same folder costs time and doubles nothing.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from pyspark.sql import DataFrame

from components.ingest_images.batch import BatchOutcome, write_batch
from components.ingest_images.judge import JUDGED_COLUMNS, judge
from components.ingest_images.labels import DEFAULT_LABEL_PATTERN, LabelPattern
from components.ingest_images.landing import batch_paths, open_landing
from components.ingest_images.limits import Limits
from components.ingest_images.status import LABELLED, UNLABELLED, status_file
from components.lake import Lake, spark_session
from components.lake.stream import check_interval, run_stream
from components.lake.tables import IMAGES
from components.settings import Settings
from components.storage import files, uri

_SAMPLE = 12
_REFUSED = 100


@dataclass
class IngestResult:
    """What a run of ingest did.

    Attributes:
        source: The landing folder.
        found: Files that the stream had not seen before.
        ingested: Rows added to `images`.
        without_class: Of those, labelled images whose folder names no class.
        quarantined: Rows added to `quarantine`, by reason.
        refused: Some of those rows: path and reason.
        table_version: Version of `images` afterwards.
        seconds: How long it took.
        sample: Some of the images: path and bytes.
    """

    source: str
    found: int = 0
    ingested: int = 0
    without_class: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    refused: list[tuple[str, str]] = field(default_factory=list)
    table_version: int = 0
    seconds: float = 0
    sample: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, found: int, outcome: BatchOutcome) -> None:
        """Add what became of a batch of `found` files."""
        self.found += found
        self.ingested += outcome.ingested
        self.without_class += outcome.without_class
        self.quarantined.update(reason for _, reason in outcome.refused)
        self.refused += outcome.refused[: _REFUSED - len(self.refused)]
        self.sample += outcome.sample


def ingest(
    settings: Settings,
    source: str,
    glob: str = "*.jpg",
    labelled: bool = True,
    label_pattern: str = DEFAULT_LABEL_PATTERN,
    continuous_interval: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> IngestResult:
    """Load the image files that are new in a folder into the lake.

    Args:
        settings: Names the lake.
        source: Landing folder, searched recursively; empty takes it from the settings.
        glob: Which file names count, in upper or lower case. Files and folders whose names begin with `_` or `.` never
            do: writers name them so until they are done.
        labelled: Whether the folder that an image is in names its class.
        label_pattern: Regular expression with one group, the class' number.
        continuous_interval: Time between two looks at the folder, as in `1 minute`, until SIGTERM; empty for one look.
        limits: What an image may be at most.

    Raises:
        InputError: The folder does not exist, or a parameter is malformed.
        TimeoutError: Another run ingests the same folder.
    """
    labels = LabelPattern(label_pattern) if labelled else None
    # Before Spark is started.
    check_interval(continuous_interval)
    setting = "labelled_source" if labelled else "unlabelled_source"
    source = uri.normalize(source or settings.required(setting), "source")
    lake = Lake.open(spark_session(settings), settings)
    return ingest_folder(lake, source, glob, labels, continuous_interval, limits)


def ingest_folder(
    lake: Lake,
    source: str,
    glob: str,
    labels: LabelPattern | None,
    continuous_interval: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> IngestResult:
    """Do what `ingest` does, in a session that is there already."""
    started = monotonic()
    checkpoint = lake.checkpoint("ingest", source)
    stream = open_landing(lake.spark, source, glob, limits.bytes)
    judged = stream.mapInArrow(judge(labels, limits), JUDGED_COLUMNS)
    result = IngestResult(source)

    def write(batch: DataFrame, batch_id: int) -> None:
        listed = batch_paths(checkpoint, batch_id)
        wanted = _SAMPLE - len(result.sample)
        result.add(len(listed), write_batch(lake, batch, listed, limits, labels is not None, wanted))
        print(f"progress: {result.found:,} files, {result.ingested:,} images", flush=True)
        _write_status(lake, result, labels is not None)

    with lake.writer(f"ingest-{uri.digest(source)}"):
        run_stream(judged, write, checkpoint, continuous_interval)
    result.table_version = lake.version(IMAGES)
    result.seconds = monotonic() - started
    _write_status(lake, result, labels is not None)
    return result


def _write_status(lake: Lake, result: IngestResult, labelled: bool) -> None:
    """Keep what the last run did so far, for the notification: a source that went dry is the usual failure."""
    status = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": result.source,
        "found": result.found,
        "ingested": result.ingested,
        "quarantined": result.quarantined.total(),
    }
    files.write_text(uri.join(lake.root, status_file(LABELLED if labelled else UNLABELLED)), json.dumps(status))
