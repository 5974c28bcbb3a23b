"""Import: answers become annotations, annotations become labels, and the requests they answer are closed.

Annotations are only ever added, each by the key of its service. Labels and outcomes are made of them anew for every
image that the files name, so that a run that was cut off is completed by the next one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.errors import InputError
from components.export_for_labeling.copies import copy_name
from components.import_labels.copies import images_by_copy, original
from components.import_labels.formats import SUFFIXES, Answer, Located, Rejected, parse
from components.import_labels.retrain import count_new_labels, is_known_to_challenger
from components.import_labels.rule import CONFLICTING, LABELLED, judge
from components.lake import Lake, spark_session
from components.lake.tables import ANNOTATIONS, CLASSES, IMAGES, LABELING_REQUESTS, LABELS
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from components.storage import files, uri

UNKNOWN_PATH = "the lake has no such image"
REPEATED_ID = "its annotation_id stands for another answer that came before"


@dataclass
class ImportResult:
    """What a run of import did.

    Attributes:
        source: Where the answers were read.
        files: How many files were read.
        read: Answers in them that make sense.
        imported: Of those, the ones that are new.
        rejected: What was left out of the files.
        conflicts: Images that people see differently, with the classes they say; they have no label.
        by_label: Images with a label among those that the files name, by class id.
        asked: Of those, how many the model had been asked about when they were exported.
        agreed: Of those asked, how many people and model see alike.
        class_names: Name by class id.
        new_labels: Labelled images that the champion's training set lacks.
        retrain: Whether they are enough to train again, and no challenger has learned them all.
        table_version: Version of `labels` afterwards.
        seconds: How long it took.
    """

    source: str
    files: int = 0
    read: int = 0
    imported: int = 0
    rejected: list[Rejected] = field(default_factory=list)
    conflicts: list[tuple[str, list[int]]] = field(default_factory=list)
    by_label: dict[int, int] = field(default_factory=dict)
    asked: int = 0
    agreed: int = 0
    class_names: dict[int, str] = field(default_factory=dict)
    new_labels: int = 0
    retrain: bool = False
    table_version: int = 0
    seconds: float = 0


def import_answers(settings: Settings, source: str, minimum_new_labels: int = 1) -> ImportResult:
    """Take in answers, and tell whether there is enough to train again.

    Args:
        settings: Name the lake, the registry and the model.
        source: File or folder of answers; empty takes it from the settings.
        minimum_new_labels: Labels that the champion's training set lacks before training again is worth it.

    Raises:
        InputError: There is no such file or folder, or a parameter makes no sense.
        TimeoutError: Another run imports labels.
    """
    if minimum_new_labels < 1:
        raise InputError(
            f"minimum_new_labels: {minimum_new_labels} is less than 1. Give 1 to train on every new label."
        )
    source = uri.normalize(source or settings.required("annotations_source"), "source")
    registry = ModelRegistry.open(settings)
    return import_into(Lake.open(spark_session(settings), settings), registry, source, minimum_new_labels)


def import_into(lake: Lake, registry: ModelRegistry, source: str, minimum_new_labels: int = 1) -> ImportResult:
    """Do what `import_answers` does, in a session that is there already."""
    started = monotonic()
    result = ImportResult(source)
    answers = _read_files(lake, result)
    with lake.writer("import_labels"):
        if answers:
            _write(lake, answers, result)
        result.table_version = lake.version(LABELS)
    result.new_labels = count_new_labels(lake, registry.champion())
    result.retrain = result.new_labels >= minimum_new_labels and not is_known_to_challenger(lake, registry)
    result.seconds = monotonic() - started
    return result


def _read_files(lake: Lake, result: ImportResult) -> list[tuple[Located, datetime]]:
    """Return the answers of all files, each with the time of its file."""
    answers: list[tuple[Located, datetime]] = []
    found = list(_find_files(lake, result.source))
    result.files = len(found)
    for name in found:
        status = files.status(name)
        if status is None:
            result.rejected.append(Rejected(name, "vanished while it was to be read"))
            continue
        located, rejected = parse(name.rsplit("/", 1)[-1], files.read_bytes(name))
        answers += [(each, status.modification_time) for each in located]
        result.rejected += rejected
    if any(each.is_copy for each, _ in answers):
        answers = _originals(lake, answers, result)
    result.read = len(answers)
    print(f"progress: {result.read:,} answers in {result.files:,} files", flush=True)
    return answers


def _originals(
    lake: Lake, answers: list[tuple[Located, datetime]], result: ImportResult
) -> list[tuple[Located, datetime]]:
    """Return the answers with those about copies as answers about their images."""
    # What the manifests say, of all batches and wherever they went, without reading them back.
    requests = lake.read(LABELING_REQUESTS).select("path", "batch")
    sent = requests.join(lake.read(IMAGES).select("path", "content_sha256"), "path").collect()
    images = images_by_copy(
        {"path": row["path"], "batch": row["batch"], "file": copy_name(row["content_sha256"], row["path"])}
        for row in sent
    )
    found = [(original(each, images) if each.is_copy else each, time) for each, time in answers]
    result.rejected += [each for each, _ in found if isinstance(each, Rejected)]
    return [(each, time) for each, time in found if isinstance(each, Located)]


def _find_files(lake: Lake, source: str) -> Iterable[str]:
    if not files.exists(source):
        raise InputError(
            f"source: no file or folder '{source}'. Check the URI, or give the task's identity the right to read it."
        )
    if not files.is_folder(source):
        if not source.lower().endswith(SUFFIXES):
            raise InputError(f"source: '{source}' ends in none of {', '.join(SUFFIXES)}. Give a file of these formats.")
        return [source]
    names = files.list_names(source)
    return [uri.join(source, name) for name in names if name.lower().endswith(SUFFIXES)]


def _write(lake: Lake, answers: list[tuple[Located, datetime]], result: ImportResult) -> None:
    result.class_names = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
    annotations = _annotations(lake, answers, result).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        known = lake.read(ANNOTATIONS).select(
            *ANNOTATIONS.key, F.col("path").alias("_path"), F.col("label").alias("_label")
        )
        compared = annotations.join(known, list(ANNOTATIONS.key), "left")
        changed = compared.where("_path IS NOT NULL AND NOT (path <=> _path AND label <=> _label)")
        result.rejected += [Rejected(row["_where"], REPEATED_ID) for row in changed.select("_where").collect()]
        new = compared.where("_path IS NULL").select(ANNOTATIONS.schema.fieldNames())
        result.imported = new.count()
        if result.imported:
            lake.insert_new(ANNOTATIONS, new)
        named = annotations.select("path").distinct()
        judged = judge(lake.read(ANNOTATIONS).join(named, "path", "left_semi")).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            _write_labels(lake, judged)
            _close_requests(lake, judged)
            _count(lake, judged, result)
        finally:
            judged.unpersist()
    finally:
        annotations.unpersist()


def _annotations(lake: Lake, answers: list[tuple[Located, datetime]], result: ImportResult) -> DataFrame:
    """Return the rows of `annotations`; answers about unknown images or classes are left out."""
    labels: dict[str, list[int]] = {}
    for known, name in result.class_names.items():
        labels.setdefault(name, []).append(known)
    rows: dict[tuple[str, str], tuple[str, Answer, int | None, datetime]] = {}
    for located, read_at in answers:
        answer = located.answer
        label = _label(answer, result.class_names, labels)
        if isinstance(label, str):
            result.rejected.append(Rejected(located.where, label))
        elif answer.key not in rows:
            rows[answer.key] = located.where, answer, label, answer.annotated_at or read_at
        elif rows[answer.key][1] != answer:
            result.rejected.append(Rejected(located.where, REPEATED_ID))
    frame = lake.spark.createDataFrame(
        [
            (*key, uri.column_spelling(answer.path), label, answer.annotator, annotated_at, answer.batch or None, where)
            for key, (where, answer, label, annotated_at) in rows.items()
        ],
        f"{ANNOTATIONS.columns}, _where STRING",
    )
    paths = lake.read(IMAGES).select("path")
    unknown = frame.join(paths, "path", "left_anti").select("_where").collect()
    result.rejected += [Rejected(row["_where"], UNKNOWN_PATH) for row in unknown]
    return frame.join(paths, "path", "left_semi")


def _label(answer: Answer, names: dict[int, str], labels: dict[str, list[int]]) -> int | str | None:
    """Return the class id, None for an image that was skipped, or the reason why there is none."""
    if answer.label is not None:
        return answer.label if answer.label in names else f"there is no class {answer.label}"
    if not answer.name:
        return None
    found = labels.get(answer.name, [])
    if len(found) == 1:
        return found[0]
    return f"{len(found)} classes have the name '{answer.name}'" if found else f"there is no class '{answer.name}'"


def _write_labels(lake: Lake, judged: DataFrame) -> None:
    """Make `labels` say what was judged: an image that people now see differently loses its label."""
    old = lake.read(LABELS).select("path", F.col("label").alias("_old"), F.lit(True).alias("_known"))
    changed = (
        judged.join(old, "path", "left")
        .where(~F.col("label").eqNullSafe(F.col("_old")) | (F.col("label").isNull() & F.col("_known")))
        .select(LABELS.schema.fieldNames())
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    try:
        if not changed.isEmpty():
            lake.merge(
                LABELS,
                changed,
                lambda builder: (
                    builder.whenMatchedDelete("source.label IS NULL")
                    .whenMatchedUpdateAll()
                    .whenNotMatchedInsertAll("source.label IS NOT NULL")
                ),
            )
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


def _count(lake: Lake, judged: DataFrame, result: ImportResult) -> None:
    conflicting = judged.where(F.col("outcome") == CONFLICTING).select("path")
    said = lake.read(ANNOTATIONS).where("label IS NOT NULL").join(conflicting, "path", "left_semi")
    conflicts = said.groupBy("path").agg(F.sort_array(F.collect_set("label")).alias("labels")).orderBy("path").collect()
    result.conflicts = [(row["path"], list(row["labels"])) for row in conflicts]
    labelled = judged.where(F.col("outcome") == LABELLED)
    result.by_label = {row["label"]: row["count"] for row in labelled.groupBy("label").count().collect()}
    asked = (
        lake.read(LABELING_REQUESTS)
        .select("path", "predicted_label")
        .distinct()
        .join(labelled.select("path", "label"), "path")
        .agg(F.count("*"), F.count_if(F.col("label") == F.col("predicted_label")))
        .first()
    )
    result.asked, result.agreed = asked
