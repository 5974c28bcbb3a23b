"""Import: answers become annotations, annotations become labels, and the requests they answer are closed.

Annotations are only ever added, each by the key of its service. Labels and outcomes are made of them anew for every
image that the exports name, so that a run that was cut off is completed by the next one.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.import_labels.annotations import REPEATED_ID, annotation_rows, drop_superseded
from components.import_labels.classes import give_labels
from components.import_labels.formats import Rejected
from components.import_labels.note import Note, read_note, write_note
from components.import_labels.reading import Reading, read_exports
from components.import_labels.retrain import count_new_labels, is_known_to_challenger
from components.import_labels.rule import LABELLED, SKIPPED, Rule, judge, last_words
from components.import_labels.sources import Source, open_source
from components.lake import Lake, frame, spark_session
from components.lake.tables import ANNOTATIONS, CLASSES, LABELING_REQUESTS, LABELS
from components.register_model.registry import ModelRegistry
from components.settings import Settings


@dataclass
class ImportResult:
    """What a run of import did.

    Attributes:
        source: Where the answers were read.
        rule: What decides where people disagree.
        files: How many files were read.
        known_files: How many others were there that an earlier run has read.
        read: Answers in them that make sense.
        imported: Of those, the ones that are new.
        rejected: What was left out of the files.
        conflicts: Images that have no label because the rule finds none in what people say, with the classes they say.
        new_classes: Classes that nobody knew before: name by class id.
        by_label: Images with a label among those that the files name, by class id.
        skipped: Images that nobody gave a class, among those that the files name.
        seen_by_several: Images that two or more people gave a class, among those that the files name.
        seen_alike: Of those, how many they all gave the same.
        asked: Of the images with a label, how many the model had been asked about when they were
            exported.
        agreed: Of those asked, how many people and model see alike.
        class_names: Name by class id.
        new_labels: Labelled images that the champion's training set lacks.
        retrain: Whether they are enough to train again, and no challenger has learned them all.
        table_version: Version of `labels` afterwards.
        seconds: How long it took.
    """

    source: str
    rule: Rule = Rule.UNANIMOUS
    files: int = 0
    known_files: int = 0
    read: int = 0
    imported: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    conflicts: list[tuple[str, list[int]]] = field(default_factory=list)
    new_classes: dict[int, str] = field(default_factory=dict)
    by_label: dict[int, int] = field(default_factory=dict)
    skipped: int = 0
    seen_by_several: int = 0
    seen_alike: int = 0
    asked: int = 0
    agreed: int = 0
    class_names: dict[int, str] = field(default_factory=dict)
    new_labels: int = 0
    retrain: bool = False
    table_version: int = 0
    seconds: float = 0


def import_answers(
    settings: Settings, source: str, minimum_new_labels: int = 1, label_rule: str = Rule.UNANIMOUS
) -> ImportResult:
    """Take in answers, and tell whether there is enough to train again.

    Args:
        settings: Name the lake, the registry and the model, and hold the access to the source.
        source: File, folder or URL of an Azure Blob container with answers; empty takes it from the settings.
        minimum_new_labels: Labels that the champion's training set lacks before training again is worth it.
        label_rule: What decides where people disagree, as `Rule` has it.

    Raises:
        InputError: There is no such source, or a parameter makes no sense.
        TimeoutError: Another run imports labels.
    """
    if minimum_new_labels < 1:
        raise InputError(
            f"minimum_new_labels: {minimum_new_labels} is less than 1. Give 1 to train on every new label."
        )
    rule = Rule.parse(label_rule)
    opened = open_source(source or settings.required("annotations_source"), settings)
    registry = ModelRegistry.open(settings)
    return import_into(Lake.open(spark_session(settings), settings), registry, opened, minimum_new_labels, rule)


def import_into(
    lake: Lake, registry: ModelRegistry, source: Source, minimum_new_labels: int = 1, rule: Rule = Rule.UNANIMOUS
) -> ImportResult:
    """Do what `import_answers` does, in a session that is there already."""
    started = monotonic()
    result = ImportResult(source.uri, rule)
    with lake.writer("import_labels"):
        note = read_note(lake)
        exports = source.exports()
        known = note.exports.get(source.uri, {})
        new = [each for each in exports if known.get(each.name) != each.version]
        result.files, result.known_files = len(new), len(exports) - len(new)
        reading = read_exports(lake, source, new)
        result.read = len(reading.said)
        print(f"progress: {result.read:,} answers in {result.files:,} files", flush=True)
        if reading.said or note.rule != rule:
            _write(lake, reading, result, judge_all=note.rule != rule)
        result.rejected = reading.rejected
        result.conflicts = _conflicts(lake)
        result.table_version = lake.version(LABELS)
        done = {each.name: each.version for each in exports if each not in reading.waiting}
        write_note(lake, Note(rule=rule, exports={**note.exports, source.uri: done}))
    result.class_names = {row["label"]: row["name"] or str(row["label"]) for row in lake.read(CLASSES).collect()}
    result.new_labels = count_new_labels(lake, registry.champion())
    result.retrain = result.new_labels >= minimum_new_labels and not is_known_to_challenger(lake, registry)
    result.seconds = monotonic() - started
    return result


def _write(lake: Lake, reading: Reading, result: ImportResult, judge_all: bool) -> None:
    paths = {each.answer.path for each in reading.said}
    named = frame(lake.spark, [(path,) for path in paths], "path STRING")
    result.new_classes = give_labels(lake, reading)
    drop_superseded(lake, reading, named)
    annotations = annotation_rows(lake, reading).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        known = lake.read(ANNOTATIONS).select(
            *ANNOTATIONS.key, F.col("path").alias("_path"), F.col("label").alias("_label")
        )
        compared = annotations.join(known, list(ANNOTATIONS.key), "left")
        is_new = F.col("_path").isNull()
        is_changed = ~is_new & ~(F.col("path").eqNullSafe(F.col("_path")) & F.col("label").eqNullSafe(F.col("_label")))
        rows = compared.where(is_new | is_changed).select(F.when(is_changed, F.col("_where"))).collect()
        repeated = [where for (where,) in rows if where is not None]
        reading.rejected += [Rejected(where, REPEATED_ID) for where in repeated]
        new = compared.where(is_new).select(ANNOTATIONS.schema.fieldNames())
        result.imported = len(rows) - len(repeated)
        if result.imported:
            lake.insert_new(ANNOTATIONS, new)
    finally:
        annotations.unpersist()
    said = lake.read(ANNOTATIONS)
    said = said if judge_all else said.join(named, "path", "left_semi")
    judged = judge(said, result.rule).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        _write_labels(lake, judged)
        _close_requests(lake, judged)
        _count(lake, judged, result)
    finally:
        judged.unpersist()


def _write_labels(lake: Lake, judged: DataFrame) -> None:
    """Make `labels` say what was judged: an image that people now see differently loses its label."""
    old = lake.read(LABELS).select("path", F.col("label").alias("_old"), F.lit(True).alias("_known"))
    changed = (
        judged.join(old, "path", "left")
        .where(~F.col("label").eqNullSafe(F.col("_old")) | (F.col("label").isNull() & F.col("_known")))
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        count, known = changed.agg(F.count("*"), F.count("_known")).first()
        rows = changed.select(LABELS.schema.fieldNames())
        if known:
            lake.merge(
                LABELS,
                rows,
                lambda builder: (
                    builder.whenMatchedDelete("source.label IS NULL")
                    .whenMatchedUpdateAll()
                    .whenNotMatchedInsertAll("source.label IS NOT NULL")
                ),
            )
        elif count:
            # Most images have their first label, which rewrites nothing.
            lake.insert_new(LABELS, rows)
    finally:
        changed.unpersist()


def _close_requests(lake: Lake, judged: DataFrame) -> None:
    """Write the outcome into the requests for the images that were judged."""
    requests = lake.read(LABELING_REQUESTS).select(*LABELING_REQUESTS.key, F.col("outcome").alias("_old"))
    changed = (
        requests.join(judged.select("path", "outcome"), "path")
        .where(~F.col("outcome").eqNullSafe(F.col("_old")))
        .select(*LABELING_REQUESTS.key, "outcome", F.lit(datetime.now(UTC)).alias("completed_at"))
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        if not changed.isEmpty():
            outcome = {name: f"source.{name}" for name in ("outcome", "completed_at")}
            lake.merge(LABELING_REQUESTS, changed, lambda builder: builder.whenMatchedUpdate(set=outcome))
    finally:
        changed.unpersist()


def _conflicts(lake: Lake) -> list[tuple[str, list[int]]]:
    """Return the images that people gave a class and the rule did not, with the classes they say."""
    said = last_words(lake.read(ANNOTATIONS)).where("label IS NOT NULL")
    conflicts = (
        said.join(lake.read(LABELS).select("path"), "path", "left_anti")
        .groupBy("path")
        .agg(F.sort_array(F.collect_set("label")).alias("labels"))
        .orderBy("path")
        .collect()
    )
    return [(row["path"], list(row["labels"])) for row in conflicts]


def _count(lake: Lake, judged: DataFrame, result: ImportResult) -> None:
    several = F.col("people") > 1
    counts = (
        judged.groupBy("outcome", "label")
        .agg(
            F.count("*").alias("images"),
            F.count_if(several).alias("several"),
            F.count_if(several & (F.col("classes") == 1)).alias("alike"),
        )
        .collect()
    )
    result.by_label = {row["label"]: row["images"] for row in counts if row["outcome"] == LABELLED}
    result.skipped = sum(row["images"] for row in counts if row["outcome"] == SKIPPED)
    result.seen_by_several, result.seen_alike = (sum(row[name] for row in counts) for name in ("several", "alike"))
    labelled = judged.where(F.col("outcome") == LABELLED)
    asked = (
        lake.read(LABELING_REQUESTS)
        .select("path", "predicted_label")
        .distinct()
        .join(labelled.select("path", "label"), "path")
        .agg(F.count("*"), F.count_if(F.col("label") == F.col("predicted_label")))
        .first()
    )
    result.asked, result.agreed = asked
