"""The import of annotations: it inserts them, decides labels by them, and closes the requests for their images.

Annotations are inserted exactly once, by service and annotation id, and never changed, except that `undo` marks them.
Labels and outcomes are derived from them for every image that the exports name, so the next run completes a run that
was killed.
"""

from dataclasses import dataclass, field
from itertools import chain
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.import_labels.annotations import REPEATED_ID, annotation_rows, drop_superseded
from components.import_labels.classes import NewClasses, assign_labels
from components.import_labels.decisions import decide, write_decisions
from components.import_labels.reading import Reading, read_exports
from components.import_labels.rule import latest_annotations
from components.import_labels.status import NAME, ImportStatus
from components.labeling.counting import counting_annotations
from components.labeling.formats import Outcome, Rejection
from components.labeling.requests import LABELED, SKIPPED, is_request_of
from components.labeling.sources import OtherFiles, Source, open_source
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, LABELING_REQUESTS, LABELS
from components.lake.views import merge_classes
from components.parameters.labeling import LabelRule
from components.pipeline_run import current_run_id
from components.registry.model_registry import ModelRegistry
from components.run_notes import MOST_CLASSES, ImportNote, write_run_note
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session
from components.storage.notes import read_note, write_note
from components.storage.overlaps import check_overlaps
from components.training_set.new_labels import check_training_set, count_new_labels, has_challenger_learned_all

_IMAGE = ["path", "content_sha256"]
_MAXIMUM_CONFLICTS = 1000


@dataclass
class ImportResult:
    """The result of an import.

    The counts from `by_label` to `model_agreed` cover the images that the files of this run name, or all annotated
    images after a change of the rule.

    Attributes:
        source: URI of the source.
        rule: Rule for images that people label differently.
        files: Number of files that this run read.
        unchanged_files: Number of files that an earlier run read, and that have not changed since.
        found_before: Whether an earlier run found a file in the source.
        others: Files of the source that are not read, by suffix.
        read: Number of annotations in the files that can be imported.
        labeled: Number of these that give their image a class.
        skips: Number of these that skip their image.
        imported: Number of annotations that are new.
        rejected: Files and annotations that can't be imported, and annotations without a class.
        unfinished: Number of images in the files that nobody has labeled yet.
        waiting: New classes that this run reports and the next run adds: number of annotations by name.
        conflicts: Path and class ids of images of the lake that the rule gives no label, because people label them
            differently; at most 1,000.
        new_classes: Classes that this run added to the lake: name by class id.
        by_label: Number of labeled images by class id.
        skipped: Number of images that nobody gave a class.
        several_people: Number of images that two or more people gave a class.
        people_agreed: Number of these that all people gave the same class.
        predicted: Number of labeled images that people were asked about because of a prediction of the model.
        model_agreed: Number of these whose predicted class is the label.
        class_names: Name of each class by class id.
        new_labels: Number of labeled images that the champion's training set lacks.
        retrain: Whether the new labels are enough to train again, and no challenger has learned them all.
        table_version: Version of the table `labels` after the run.
        seconds: Duration of the run, in seconds.
    """

    source: str
    rule: LabelRule = LabelRule.UNANIMOUS
    files: int = 0
    unchanged_files: int = 0
    found_before: bool = False
    others: dict[str, OtherFiles] = field(default_factory=dict)
    read: int = 0
    labeled: int = 0
    skips: int = 0
    imported: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    unfinished: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    conflicts: list[tuple[str, list[int]]] = field(default_factory=list)
    new_classes: dict[int, str] = field(default_factory=dict)
    by_label: dict[int, int] = field(default_factory=dict)
    skipped: int = 0
    several_people: int = 0
    people_agreed: int = 0
    predicted: int = 0
    model_agreed: int = 0
    class_names: dict[int, str] = field(default_factory=dict)
    new_labels: int = 0
    retrain: bool = False
    table_version: int = 0
    seconds: float = 0

    @property
    def ever_found(self) -> bool:
        """Whether this run or an earlier one found a file in the source."""
        return self.found_before or self.files + self.unchanged_files > 0

    @property
    def left_out(self) -> int:
        """Number of rejections, of annotations that wait for a new class, and of images with conflicting labels."""
        return len(self.rejected) + sum(self.waiting.values()) + len(self.conflicts)


def import_annotations(
    settings: Settings, source: str, minimum_new_labels: int = 1, rule: LabelRule = LabelRule.UNANIMOUS
) -> ImportResult:
    """Import annotations, and decide whether there are enough new labels to train again.

    Args:
        settings: Settings of the lake, the registry, the model and the credentials of the source.
        source: File, folder or URL of an Azure Blob container with annotations. If empty, the setting
            `annotations_source` applies.
        minimum_new_labels: Number of labels that the champion's training set lacks, from which training starts again.
        rule: Rule for images that people label differently.

    Raises:
        InputError: The source does not exist or can't be read, or the champion's training set was deleted.
        TimeoutError: Another run imports labels.
    """
    source = source or settings.required("annotations_source")
    check_overlaps(settings, "annotations_source", source, "source")
    opened = open_source(source, settings)
    registry = ModelRegistry.open(settings)
    lake = Lake.open(spark_session(settings), settings)
    result = import_into(lake, registry, opened, minimum_new_labels, rule)
    note = ImportNote(
        source=result.source,
        imported=result.imported,
        rejected=result.left_out,
        new_labels=result.new_labels,
        retrain=result.retrain,
        ever_found=result.ever_found,
        waiting_classes=sorted(result.waiting)[:MOST_CLASSES],
    )
    write_run_note(settings, note)
    return result


def import_into(
    lake: Lake,
    registry: ModelRegistry,
    source: Source,
    minimum_new_labels: int = 1,
    rule: LabelRule = LabelRule.UNANIMOUS,
) -> ImportResult:
    """Import annotations into an open lake. `import_annotations` describes the arguments."""
    started = monotonic()
    check_training_set(lake, registry.champion())
    result = ImportResult(source.uri, rule)
    with lake.writer("import_labels"):
        status = read_note(lake.root, NAME, ImportStatus, lake.files) or ImportStatus()
        listing = source.listing()
        exports, result.others = listing.exports, listing.others
        versions = status.exports.get(source.uri, {})
        new = [export for export in exports if versions.get(export.name) != export.version]
        result.files, result.unchanged_files = len(new), len(exports) - len(new)
        # Release 0.1.0 recorded the exports, but not `found`.
        result.found_before = source.uri in status.found or bool(versions)
        reading = read_exports(lake, source, new)
        result.read = len(reading.annotations)
        print(f"progress: {result.files:,} files, {result.read:,} annotations", flush=True)
        new_classes = NewClasses()
        if reading.annotations or status.rule != rule:
            new_classes = _write(lake, reading, result, registry.model_name, status)
        result.new_classes, result.waiting = new_classes.added, new_classes.waiting_by_name
        _count_outcomes(reading, result)
        result.conflicts = _conflicts(lake)
        result.table_version = lake.version(LABELS)
        read = {export.name: export.version for export in exports if export not in reading.incomplete}
        status = ImportStatus(
            rule=rule,
            exports={**status.exports, source.uri: read},
            found=sorted({*status.found, source.uri}) if result.ever_found else status.found,
            reported_classes={**status.reported_classes, source.uri: sorted(new_classes.waiting)},
            reported_by=current_run_id(),
        )
        write_note(lake.root, NAME, status, lake.files)
    result.class_names = {row.label: row.name or str(row.label) for row in lake.classes().rows}
    result.new_labels = count_new_labels(lake, registry.champion())
    result.retrain = result.new_labels >= minimum_new_labels and not has_challenger_learned_all(lake, registry)
    result.seconds = monotonic() - started
    return result


def _write(lake: Lake, reading: Reading, result: ImportResult, model_name: str, status: ImportStatus) -> NewClasses:
    """Insert the annotations, decide labels by them, and close requests; return the new classes."""
    images = {(exported.annotation.path, exported.content_sha256) for exported in reading.annotations}
    named = frame(lake.spark, sorted(images), "path STRING, content_sha256 STRING")
    # Nobody has seen what an earlier attempt of this run reported.
    is_repeated = bool(status.reported_by) and status.reported_by == current_run_id()
    reported = () if is_repeated else chain.from_iterable(status.reported_classes.values())
    new_classes = assign_labels(lake, reading, {*reported})
    accepted, rejections = list(reading.annotations), len(reading.rejected)
    drop_superseded(lake, reading, named)
    annotations = annotation_rows(lake, reading).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        existing = lake.read(ANNOTATIONS).select(
            *ANNOTATIONS.key, F.col("path").alias("_path"), F.col("label").alias("_label")
        )
        compared = annotations.join(existing, list(ANNOTATIONS.key), "left")
        is_new = F.col("_path").isNull()
        is_changed = ~is_new & ~(F.col("path").eqNullSafe(F.col("_path")) & F.col("label").eqNullSafe(F.col("_label")))
        rows = compared.where(is_new | is_changed).select(F.when(is_changed, F.col("_place"))).collect()
        repeated = [place for (place,) in rows if place is not None]
        reading.rejected += [Rejection(place, REPEATED_ID) for place in repeated]
        new = compared.where(is_new).select(ANNOTATIONS.schema.fieldNames())
        result.imported = len(rows) - len(repeated)
        if result.imported:
            # No MERGE: they were compared under the lock of imports.
            lake.append(ANNOTATIONS, new)
    finally:
        annotations.unpersist()
    repeated_places = {rejection.place for rejection in reading.rejected[rejections:]}
    counted = [exported for exported in accepted if exported.located.place not in repeated_places]
    result.skips = sum(exported.annotation.is_skip for exported in counted)
    result.labeled = len(counted) - result.skips
    images_to_decide = named if status.rule == result.rule else None
    decisions = decide(lake, result.rule, images_to_decide).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        write_decisions(lake, decisions)
        _count(lake, decisions, model_name, result)
    finally:
        decisions.unpersist()
    return new_classes


def _count_outcomes(reading: Reading, result: ImportResult) -> None:
    """Count what was left out, and keep what the report lists."""
    listed = (Outcome.REJECTED, Outcome.EMPTY)
    result.rejected = [rejection for rejection in reading.rejected if rejection.outcome in listed]
    result.unfinished = sum(
        rejection.count for rejection in reading.rejected if rejection.outcome is Outcome.UNFINISHED
    )


def _conflicts(lake: Lake) -> list[tuple[str, list[int]]]:
    """Return images that people gave a class but that have no label, with the classes that people gave.

    Returns:
        At most 1,000 images, in the order of their paths, each with its current content.
    """
    given = latest_annotations(counting_annotations(lake)).where("label IS NOT NULL")
    conflicts = (
        given.join(lake.read(LABELS).select(*_IMAGE), _IMAGE, "left_anti")
        .groupBy(*_IMAGE)
        .agg(F.sort_array(F.collect_set("label")).alias("labels"))
        .orderBy("path")
        .limit(_MAXIMUM_CONFLICTS)
        .collect()
    )
    images = lake.current_images().where(F.col("path").isin([row["path"] for row in conflicts]))
    current = {(row["path"], row["content_sha256"]) for row in images.select(*_IMAGE).collect()} if conflicts else set()
    return [(row["path"], list(row["labels"])) for row in conflicts if (row["path"], row["content_sha256"]) in current]


def _count(lake: Lake, decisions: DataFrame, model_name: str, result: ImportResult) -> None:
    several = F.col("people") > 1
    counts = (
        decisions.groupBy("outcome", "label")
        .agg(
            F.count("*").alias("images"),
            F.count_if(several).alias("several"),
            F.count_if(several & (F.col("classes") == 1)).alias("agreed"),
        )
        .collect()
    )
    result.by_label = {row["label"]: row["images"] for row in counts if row["outcome"] == LABELED}
    result.skipped = sum(row["images"] for row in counts if row["outcome"] == SKIPPED)
    result.several_people, result.people_agreed = (sum(row[name] for row in counts) for name in ("several", "agreed"))
    labeled = decisions.where(F.col("outcome") == LABELED)
    requests = lake.read(LABELING_REQUESTS).where(is_request_of(model_name))
    result.predicted, result.model_agreed = (
        merge_classes(requests, lake.classes(), "predicted_label")
        .select(*_IMAGE, "predicted_label")
        .distinct()
        .join(labeled.select(*_IMAGE, "label"), _IMAGE)
        .agg(F.count("*"), F.count_if(F.col("label") == F.col("predicted_label")))
        .first()
    )
