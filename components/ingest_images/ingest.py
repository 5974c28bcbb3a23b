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
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.images.header import EMPTY
from components.ingest_images.judge import JUDGED_COLUMNS, Limits, judge
from components.ingest_images.labels import DEFAULT_LABEL_PATTERN, LabelPattern
from components.ingest_images.landing import batch_paths, open_landing
from components.lake import Lake, spark_session
from components.lake.stream import run_stream
from components.lake.tables import CLASSES, IMAGES, QUARANTINE
from components.settings import Settings
from components.storage import files, uri

STATUS_FILE = "_status/ingest_images.json"
REPLACED = "another content at a known path"
VANISHED = "vanished between listing and reading"
_SAMPLE = 12


@dataclass
class IngestResult:
    """What a run of ingest did.

    Attributes:
        source: The landing folder.
        found: Files that the stream had not seen before.
        ingested: Rows added to `images`.
        without_class: Of those, labelled images whose folder names no class.
        quarantined: Rows added to `quarantine`, by reason.
        table_version: Version of `images` afterwards.
        seconds: How long it took.
        sample: Some of the images: path and bytes.
    """

    source: str
    found: int = 0
    ingested: int = 0
    without_class: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    table_version: int = 0
    seconds: float = 0
    sample: list[tuple[str, bytes]] = field(default_factory=list)


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
        glob: Which file names count, in either case.
        labelled: Whether the folder that an image is in names its class.
        label_pattern: Regular expression with one group, the class' number.
        continuous_interval: Time between two looks at the folder, as in `1 minute`, until SIGTERM; empty for one look.
        limits: What an image may be at most.

    Raises:
        InputError: The folder does not exist, or a parameter is malformed.
        TimeoutError: Another run ingests the same folder.
    """
    labels = LabelPattern(label_pattern) if labelled else None
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
        _write_batch(lake, batch, batch_paths(checkpoint, batch_id), limits, result, labels is not None)

    with lake.writer(f"ingest-{uri.digest(source)}"):
        run_stream(judged, write, checkpoint, continuous_interval)
    result.table_version = lake.version(IMAGES)
    result.seconds = monotonic() - started
    _write_status(lake, result)
    return result


def _write_batch(
    lake: Lake, batch: DataFrame, listed: list[str], limits: Limits, result: IngestResult, labelled: bool
) -> None:
    now = datetime.now(UTC)
    load_date, ingested_at = F.lit(now.date()), F.lit(now)
    # The frame of a batch reads and decodes its files again at every action.
    judged = batch.persist(StorageLevel.DISK_ONLY)
    try:
        known = lake.read(IMAGES).select("path", F.col("content_sha256").alias("known_sha256"))
        compared = judged.join(known, "path", "left").withColumn(
            "reason",
            F.when(F.col("known_sha256") != F.col("content_sha256"), F.lit(REPLACED)).otherwise(F.col("reason")),
        )
        accepted = compared.where("reason IS NULL AND known_sha256 IS NULL")
        refused = compared.where("reason IS NOT NULL").select(
            "path", "modificationTime", "length", "content_sha256", "reason"
        )
        read = {row["path"] for row in judged.select("path").collect()}
        unread = _unread(lake, [path for path in listed if path not in read], limits)
        quarantine = refused.unionByName(unread).withColumn("load_date", load_date).dropDuplicates(list(QUARANTINE.key))

        if labelled:
            _write_classes(lake, judged)
            result.without_class += accepted.where("label IS NULL").count()
        new = accepted.withColumn("load_date", load_date).withColumn("ingested_at", ingested_at)
        columns = IMAGES.schema.fieldNames()
        if len(result.sample) < _SAMPLE:
            rows = accepted.select("path", "content").limit(_SAMPLE - len(result.sample)).collect()
            result.sample += [(row["path"], bytes(row["content"])) for row in rows]
        reasons = quarantine.join(
            lake.read(QUARANTINE).select(*QUARANTINE.key).alias("old"), _same_key(quarantine), "left_anti"
        )
        counts = Counter({row["reason"]: row["count"] for row in reasons.groupBy("reason").count().collect()})
        result.ingested += lake.insert_new(IMAGES, new.select(columns))
        if counts:
            lake.insert_new(QUARANTINE, quarantine.select(QUARANTINE.schema.fieldNames()))
        result.quarantined += counts
        result.found += len(listed)
        print(f"progress: {result.found:,} files, {result.ingested:,} images", flush=True)
    finally:
        judged.unpersist()


def _same_key(rows: DataFrame) -> Any:
    return (F.col("old.path") == rows["path"]) & F.col("old.content_sha256").eqNullSafe(rows["content_sha256"])


def _unread(lake: Lake, paths: list[str], limits: Limits) -> DataFrame:
    """Return rows of `quarantine` for the listed files that the stream did not read."""
    rows: list[tuple[str, datetime | None, int | None, None, str]] = []
    for path in paths:
        status = files.status(path)
        if status is None:
            rows.append((path, None, None, None, VANISHED))
        elif status.length == 0:
            # Spark plans no task for it.
            rows.append((path, status.modification_time, 0, None, EMPTY))
        elif status.length > limits.bytes:
            reason = f"more than {limits.bytes} bytes"
            rows.append((path, status.modification_time, status.length, None, reason))
        else:
            raise OSError(f"'{path}' was listed and is there, but was not read. Run this step again.")
    schema = "path STRING, modificationTime TIMESTAMP, length BIGINT, content_sha256 STRING, reason STRING"
    return lake.spark.createDataFrame(rows, schema)


def _write_classes(lake: Lake, judged: DataFrame) -> None:
    found = judged.where("label IS NOT NULL").groupBy("label").agg(F.min("class_name").alias("name"))
    new = found.join(lake.read(CLASSES).select("label"), "label", "left_anti").collect()
    if new:
        rows = [(row["label"], row["name"], None) for row in new]
        lake.insert_new(CLASSES, lake.spark.createDataFrame(rows, CLASSES.schema))


def _write_status(lake: Lake, result: IngestResult) -> None:
    """Keep the outcome of the last run, for the notification: a source that went dry is the usual failure."""
    status = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "source": result.source,
        "found": result.found,
        "ingested": result.ingested,
        "quarantined": result.quarantined.total(),
    }
    files.write_text(uri.join(lake.root, STATUS_FILE), json.dumps(status))
