"""Ingest the files of a landing folder exactly once.

Each file becomes a row of the table `images`, with its content or with the reason for quarantine, and the table `files`
records it by path. Discovery finds files that are new or changed, and ingest executes them in plans; see `plans` and
`batch`.

This is a plain loop over plans, not a Python streaming data source of Spark. Measured with files of 68 kB, the source
reached 559 images/s, and `mapInArrow` over the same plans 760 to 870: about 2 s a run and 1 s a batch do not depend on
images. Plans, not a checkpoint, make it exactly once, so both resume alike.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from time import monotonic

from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.batch import BatchOutcome
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.discover import Discovery
from components.ingest_images.limits import Limits
from components.ingest_images.plan_runner import PlanRunner, source_lock
from components.ingest_images.source_labels import SourceLabels
from components.ingest_images.status import LABELED, UNLABELED, IngestStatus
from components.lake import Lake
from components.lake.tables import FILES, IMAGES
from components.parameters.ingest import DELETE, IngestOptions
from components.poll import check_interval, repeat_until_sigterm
from components.run_notes import IngestNote, write_run_note
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.storage.overlaps import ARCHIVE, check_overlaps

_SAMPLE_SIZE = 12
_MAXIMUM_QUARANTINED_FILES = 100


@dataclass
class IngestResult:
    """Counts and examples of an ingest.

    Attributes:
        source: URI of the landing folder.
        found: Number of files that were new or changed.
        ingested: Number of images added.
        classes: Number of added images of each class, by class id and name of the folder.
        new_classes: Class ids that the lake did not have.
        without_class: Number of added images that have no class although the source is labeled, by reason.
        several_numbers: Class ids of each name that has several.
        doubt: Why the folders of the source may not be classes; empty if they are.
        quarantined: Number of files put into quarantine, by reason.
        quarantined_files: Path and reason of at most 100 of these files.
        discovery: What the last discovery found and passed over.
        ever_found: Whether any run has ever found a file in the source.
        table_version: Version of `images` after the ingest.
        seconds: Duration in seconds.
        sample: Path and content of at most 12 added images.
    """

    source: str
    found: int = 0
    ingested: int = 0
    classes: Counter[tuple[int, str]] = field(default_factory=Counter)
    new_classes: set[int] = field(default_factory=set)
    without_class: Counter[str] = field(default_factory=Counter)
    several_numbers: dict[str, list[int]] = field(default_factory=dict)
    doubt: str = ""
    quarantined: Counter[str] = field(default_factory=Counter)
    quarantined_files: list[tuple[str, str]] = field(default_factory=list)
    discovery: DiscoveryCounts = field(default_factory=DiscoveryCounts)
    ever_found: bool = False
    table_version: int = 0
    seconds: float = 0
    sample: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, outcome: BatchOutcome) -> None:
        """Add the outcome of a batch."""
        self.found += outcome.found
        self.ingested += outcome.ingested
        self.classes += outcome.classes
        self.new_classes |= outcome.new_classes
        self.without_class += outcome.without_class
        self.several_numbers |= outcome.several_numbers
        self.quarantined.update(reason for _, reason in outcome.quarantined)
        self.quarantined_files += outcome.quarantined[: _MAXIMUM_QUARANTINED_FILES - len(self.quarantined_files)]
        self.sample += outcome.sample
        self.ever_found = self.ever_found or outcome.found > 0

    def note(self, outcome: BatchOutcome | None = None) -> IngestNote:
        """Return the note of a batch, or by default the final note.

        Args:
            outcome: The batch's outcome; None in the final note.
        """
        outcome = outcome or BatchOutcome()
        return IngestNote(
            source=self.source,
            found=outcome.found,
            ingested=outcome.ingested,
            quarantined=len(outcome.quarantined),
            ever_found=self.ever_found,
        )


def ingest(
    settings: Settings,
    source: str = "",
    options: IngestOptions = IngestOptions(),  # noqa: B008 - frozen
    labeled: bool = True,
    continuous_interval: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> IngestResult:
    """Load the new image files of a folder into the lake.

    Args:
        settings: Settings, e.g. of the lake.
        source: Landing folder, searched recursively. If empty, the setting `labeled_source` or `unlabeled_source`
            applies.
        options: Which files are images, how to find them, and how their folders name classes.
        labeled: Whether folders name the classes of the images.
        continuous_interval: Time between two polls of the folder until SIGTERM, e.g. `1 minute`. If empty, the folder
            is read once.
        limits: Upper limits of a valid image.

    Raises:
        InputError: The folder or its bucket does not exist or overlaps another folder, or a parameter is malformed.
        TimeoutError: Another run ingests the same folder.
    """
    # Malformed parameters should fail before Spark starts, which takes seconds.
    check_interval(continuous_interval)
    setting = "labeled_source" if labeled else "unlabeled_source"
    source = uri.normalize(source or settings.required(setting), "source")
    folder = uri.local_path(source)
    if folder is not None and not folder.is_dir():
        raise InputError(f"source: folder '{folder}' not found. Check the path, or mount the folder into this task.")
    check_overlaps(settings, setting, source, "source")
    if options.archive not in ("", DELETE):
        check_overlaps(settings, ARCHIVE, options.archive, "archive")
    # A scoring run needs a champion, which was trained with a lake: without a lake, the URI is mistyped. A stream may
    # start before the first training.
    open_lake = Lake.open_or_create if labeled or continuous_interval else Lake.open
    lake = open_lake(spark_session(settings), settings)

    def write_note(note: IngestNote) -> None:
        write_run_note(settings, note)

    # One note per batch, because the batches of an attempt count even if the attempt fails later.
    result = ingest_folder(lake, source, options, labeled, continuous_interval, limits, write_note)
    write_note(result.note())
    return result


def ingest_folder(
    lake: Lake,
    source: str,
    options: IngestOptions = IngestOptions(),  # noqa: B008 - frozen
    labeled: bool = True,
    continuous_interval: str = "",
    limits: Limits = Limits(),  # noqa: B008 - frozen
    on_batch: Callable[[IngestNote], None] = lambda note: None,
) -> IngestResult:
    """Load the new image files of a folder into an open lake.

    Args:
        lake: The lake.
        source: Normalized URI of the landing folder.
        options: Which files are images, how to find them, and how their folders name classes.
        labeled: Whether folders name the classes of the images.
        continuous_interval: Time between two polls of the folder; if empty, the folder is read once.
        limits: Upper limits of a valid image.
        on_batch: Receives the note of each executed batch.

    Raises:
        InputError: The folder or its bucket does not exist.
    """
    started = monotonic()
    kind = LABELED if labeled else UNLABELED
    result = IngestResult(source)

    def on_outcome(outcome: BatchOutcome) -> None:
        result.add(outcome)
        on_batch(result.note(outcome))
        print(f"progress: {result.found:,} files, {result.ingested:,} images", flush=True)
        _write_status(lake, result, kind)

    with source_lock(lake, source):
        runner = PlanRunner(lake, source, lambda: _SAMPLE_SIZE - len(result.sample), on_outcome)
        source_labels = SourceLabels(lake.root, lake.files, source, options) if labeled else None

        def ingest_new_files(ending: Event) -> None:
            runner.finish_open_plan()
            discovery = Discovery(lake, source, options, lake.files.access)
            if source_labels is not None:
                source_labels.survey(discovery.names)
            for discovered in discovery:
                labels = None if source_labels is None else source_labels.labels(discovered.files["path"].to_pylist())
                runner.run(discovered.files, labels, limits, discovered.acknowledge, absent_in=discovered.absent_in)
                if ending.is_set():
                    break
            result.discovery = discovery.counts
            result.doubt = "" if source_labels is None else source_labels.doubt
            if result.doubt:
                print(f"Warning: {doubt_sentence(result)}", flush=True)

        repeat_until_sigterm(ingest_new_files, continuous_interval)
    result.ever_found = result.ever_found or _is_in_files(lake, source)
    result.table_version = lake.version(IMAGES)
    result.seconds = monotonic() - started
    _write_status(lake, result, kind)
    return result


def doubt_sentence(result: IngestResult) -> str:
    """Return a sentence about a source whose folders may not be classes."""
    return (
        f"source: the folders of '{result.source}' may not be classes, because {result.doubt}. Its images come in"
        " unlabeled, except from folders such as 007.zebra. If the folders are classes, run `image-pipelines relabel`,"
        " or give label_pattern in ingest_options."
    )


def _is_in_files(lake: Lake, source: str) -> bool:
    return bool(lake.read(FILES).where(F.col("source") == uri.column_spelling(source)).take(1))


def _write_status(lake: Lake, result: IngestResult, kind: str) -> None:
    """Store the counts of this run so far."""
    status = IngestStatus(
        finished_at=datetime.now(UTC).replace(microsecond=0),
        source=result.source,
        found=result.found,
        ingested=result.ingested,
        quarantined=result.quarantined.total(),
    )
    status.write(lake, kind)
