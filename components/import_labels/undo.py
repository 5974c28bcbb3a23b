"""Take back annotations, e.g. of a batch that was explained wrongly to the people who labeled it.

An annotation that is taken back stays in the lake, and counts no more. A later import of the same annotation does not
change that. A new annotation of the image counts.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.import_labels.decisions import Written, decide, write_decisions
from components.import_labels.status import read_rule
from components.labeling.counting import is_undone, seen_content
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, LABELING_REQUESTS, UNDONE

_SIMILAR = 0.5


@dataclass(frozen=True)
class Selection:
    """The annotations to take back: those that match each criterion that is given.

    Attributes:
        batch: Name of the exported batch; empty for any.
        annotator: Name of the person; empty for anybody.
        since: Time of the earliest annotation, in UTC; None for any.
    """

    batch: str = ""
    annotator: str = ""
    since: datetime | None = None

    @classmethod
    def parse(cls, batch: str, annotator: str, since: str) -> "Selection":
        """Return the selection of a command line. Empty texts are no criteria.

        Raises:
            InputError: There is no criterion, or the time is malformed.
        """
        if not (batch or annotator or since):
            raise InputError(
                "labels undo: no annotations chosen. Give --batch, --annotator, --since or several of them."
            )
        return cls(batch, annotator, _parse_time(since) if since else None)


@dataclass(frozen=True)
class Undone:
    """What an undo has changed, or would change.

    Attributes:
        annotations: Number of annotations that count no more.
        images: Number of images that the selected annotations are about.
        labels: Number of labels that were changed or removed; 0 in a dry run.
        requests: Number of labeling requests whose outcome changed; 0 in a dry run.
    """

    annotations: int
    images: int
    labels: int = 0
    requests: int = 0

    def sentence(self, dry_run: bool = False) -> str:
        """Return the result in one sentence."""
        if not self.annotations and not self.labels and not self.requests:
            return "Nothing to take back: all matching annotations were taken back before."
        if dry_run:
            return f"Would take back {self.annotations:,} annotations of {self.images:,} images."
        return (
            f"Took back {self.annotations:,} annotations of {self.images:,} images: {self.labels:,} labels were changed"
            f" or removed, and {self.requests:,} requests were reopened or got another outcome."
        )


def undo(lake: Lake, selection: Selection, dry_run: bool = False) -> Undone:
    """Take back annotations, and decide the labels of their images again. Idempotent.

    Args:
        lake: The lake.
        selection: The annotations.
        dry_run: Whether to write nothing.

    Raises:
        InputError: The lake has no such annotation.
        TimeoutError: Another run imports labels.
    """
    with lake.writer("import_labels"):
        selected = _select(lake, selection).persist(StorageLevel.MEMORY_AND_DISK)
        images = selected.select("path", seen_content()).distinct().persist(StorageLevel.MEMORY_AND_DISK)
        try:
            new = selected.where(~is_undone())
            result = Undone(new.count(), images.count())
            if not result.images:
                raise _unknown(lake, selection)
            if dry_run:
                return result
            if result.annotations:
                marked = F.concat(F.lit(UNDONE), "content_sha256").alias("content_sha256")
                lake.merge(
                    ANNOTATIONS,
                    new.select(*ANNOTATIONS.key, marked),
                    lambda builder: builder.whenMatchedUpdate(set={"content_sha256": "source.content_sha256"}),
                )
            # Also without new ones: an undo that was killed may have left labels.
            written = decide_again(lake, images)
            return Undone(result.annotations, result.images, written.labels, written.requests)
        finally:
            selected.unpersist()
            images.unpersist()


def decide_again(lake: Lake, images: DataFrame) -> Written:
    """Decide the labels of images again, by the rule of the last import. The caller holds the lock of the import.

    Args:
        lake: The lake.
        images: Frame of path and content_sha256, each image once.
    """
    decisions = decide(lake, read_rule(lake), images).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        return write_decisions(lake, decisions)
    finally:
        decisions.unpersist()


def _select(lake: Lake, selection: Selection) -> DataFrame:
    annotations = lake.read(ANNOTATIONS)
    if selection.annotator:
        annotations = annotations.where(F.col("annotator") == selection.annotator)
    if selection.since is not None:
        annotations = annotations.where(F.col("annotated_at") >= F.lit(selection.since))
    return _of_batch(lake, annotations, selection.batch) if selection.batch else annotations


def _of_batch(lake: Lake, annotations: DataFrame, batch: str) -> DataFrame:
    """Select the annotations of a batch. Services that record no batch annotate the images that the batch requested."""
    requested = (
        lake.read(LABELING_REQUESTS)
        .where(F.col("batch") == batch)
        .select(
            F.col("path").alias("_path"), F.col("content_sha256").alias("_content"), F.lit(True).alias("_requested")
        )
    )
    is_requested = (F.col("path") == F.col("_path")) & (seen_content() == F.col("_content"))
    return (
        annotations.join(requested, is_requested, "left")
        .where((F.col("batch") == batch) | (F.col("batch").isNull() & F.col("_requested")))
        .drop("_path", "_content", "_requested")
    )


def _unknown(lake: Lake, selection: Selection) -> InputError:
    """Return the error about a selection without annotations."""
    for column, value in (("batch", selection.batch), ("annotator", selection.annotator)):
        if value:
            names = lake.read(ANNOTATIONS).where(F.col(column).isNotNull()).select(column).distinct().collect()
            existing = {str(row[column]) for row in names}
            if value not in existing:
                return InputError(f"--{column}: no annotation of '{value}'. {_advice(value, existing)}")
    return InputError("labels undo: no annotation matches. Give other criteria.")


def _advice(name: str, existing: Iterable[str]) -> str:
    near = get_close_matches(name, list(existing), 1, _SIMILAR)
    return f"Did you mean '{near[0]}'?" if near else "`image-pipelines query` shows the table annotations."


def _parse_time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text.strip())
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InputError(
            f"--since: '{text}' is not a time. Write e.g. 2026-11-29 or 2026-11-29T14:30, in UTC."
        ) from None
