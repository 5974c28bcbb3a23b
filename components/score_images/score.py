"""Score: each image without a label gets a prediction of the champion, once.

A stream over `images` remembers in its checkpoint what it has seen, so a run costs what is new. The checkpoint may be
lost and a batch may come twice: what has a prediction is left out of each batch, and `predictions` is written by
insert-only MERGE on its key.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.build_training_set.training_set import MEMBERS
from components.doubtful import DEFAULT_THRESHOLD, is_doubtful
from components.errors import InputError, check_shares
from components.lake import Lake, spark_session
from components.lake.stream import check_interval, run_stream
from components.lake.tables import CLASSES, IMAGES, LABELS, PREDICTIONS
from components.register_model.registry import (
    ACCURACY_TAG,
    CHAMPION,
    TRAINING_SET_URI_TAG,
    ModelRegistry,
    RegisteredVersion,
)
from components.score_images.class_shares import ClassShares
from components.score_images.field_accuracy import FieldAccuracy, read_field_accuracy
from components.score_images.predict import PREDICTED_COLUMNS, predict
from components.score_images.send import send
from components.settings import Settings
from components.storage import files, uri
from components.workers.budget import Budget

HISTOGRAM_BINS = 20

_FILES_PER_BATCH = 1000
# Bounds what a batch keeps on the workers' disks.
_BYTES_PER_BATCH = "1g"
# More than one, because some images take longer than others; a worker keeps its model from one task to the next.
_TASKS_PER_CORE = 3
_EXAMPLES = 24
_FAILURES = 50


@dataclass(frozen=True)
class Example:
    """An image and what was said of it.

    Attributes:
        path: Which image it is.
        content: Its file.
        label: Predicted class id.
        score: The best score, 0..1.
    """

    path: str
    content: bytes
    label: int
    score: float


@dataclass
class ScoreResult:
    """What a run of scoring did.

    Attributes:
        model_name: The registered model.
        model_version: The version that scored, the last one if a stream saw several.
        threshold: Best score under which an image is doubtful, 0..1.
        scored: Images that got a label and a score.
        failed: Images that could not be decoded.
        doubtful: Of those scored, with a score under the threshold.
        histogram: Images by score, in `HISTOGRAM_BINS` equal bins from 0 to 1.
        by_label: Images by predicted class id.
        failures: Some of those that failed: path and error.
        examples: The images of the lowest scores, lowest first.
        class_names: Name by class id.
        field_accuracy: How this version and those before it do on the images that come in.
        test_accuracy: This version's accuracy on its test images, 0..1; None if its tags do not tell.
        class_shares: The classes of the images scored beside those of the version's training set; None if nothing was
            scored, or the training set is gone.
        table_version: Version of `predictions` afterwards.
        seconds: How long it took.
    """

    model_name: str
    model_version: str
    threshold: float = DEFAULT_THRESHOLD
    scored: int = 0
    failed: int = 0
    doubtful: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)
    by_label: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    class_names: dict[int, str] = field(default_factory=dict)
    field_accuracy: FieldAccuracy = field(default_factory=FieldAccuracy)
    test_accuracy: float | None = None
    class_shares: ClassShares | None = None
    table_version: int = 0
    seconds: float = 0


def score(
    settings: Settings,
    rescore: bool = False,
    continuous_interval: str = "",
    threshold: float = DEFAULT_THRESHOLD,
) -> ScoreResult:
    """Score the images that have neither a label nor a prediction.

    Args:
        settings: Name the lake, the registry and the model.
        rescore: Whether images that only earlier models scored are scored as well; what those said is kept.
        continuous_interval: Time between two looks at the lake, as in `1 minute`, until SIGTERM; empty for one look.
        threshold: Best score under which an image is told to be doubtful, 0..1.

    Raises:
        InputError: The threshold is out of its range, the model has no champion, or its files are not those that were
            registered.
        TimeoutError: Another run scores this lake.
    """
    check_interval(continuous_interval)
    check_shares({"threshold": threshold})
    registry = ModelRegistry.open(settings)
    # Before Spark is started, let alone the stream: an image that it has seen does not come again.
    champion = require_champion(registry)
    lake = Lake.open(spark_session(settings), settings)
    return score_lake(lake, registry, champion, rescore, continuous_interval, threshold)


def require_champion(registry: ModelRegistry) -> RegisteredVersion:
    """Return the champion.

    Raises:
        InputError: There is none.
    """
    champion = registry.champion()
    if champion is None:
        raise InputError(
            f"model_name: no version of '{registry.model_name}' is the champion, so no image was scored. Run the"
            f" training pipeline, or give a version the alias '{CHAMPION}'."
        )
    return champion


def score_lake(
    lake: Lake,
    registry: ModelRegistry,
    champion: RegisteredVersion,
    rescore: bool = False,
    continuous_interval: str = "",
    threshold: float = DEFAULT_THRESHOLD,
) -> ScoreResult:
    """Do what `score` does, in a session that is there already."""
    started = monotonic()
    result = ScoreResult(champion.name, champion.version, threshold)
    archive = _send(lake, registry, champion)

    def write(batch: DataFrame, batch_id: int) -> None:
        nonlocal archive, champion
        # A stream outlives its champion; a run is told of one.
        if continuous_interval and (latest := require_champion(registry)).version != result.model_version:
            archive, champion, result.model_version = _send(lake, registry, latest), latest, latest.version
        _score_batch(lake, batch, archive, rescore, result)
        print(f"progress: {result.scored + result.failed:,} images scored", flush=True)

    with lake.writer("score_images"), _checkpoint(lake, rescore) as checkpoint:
        run_stream(_open_images(lake), write, checkpoint, continuous_interval)
    result.class_names = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
    result.field_accuracy = read_field_accuracy(lake)
    result.test_accuracy = float(champion.tags[ACCURACY_TAG]) if ACCURACY_TAG in champion.tags else None
    trained = _count_trained(lake, champion) if result.scored else {}
    result.class_shares = ClassShares(result.by_label, trained) if trained else None
    result.table_version = lake.version(PREDICTIONS)
    result.seconds = monotonic() - started
    return result


def _count_trained(lake: Lake, champion: RegisteredVersion) -> dict[int, int]:
    """Count the images of the champion's training set by class id; there are none if it is gone."""
    members = uri.join(champion.tags.get(TRAINING_SET_URI_TAG, lake.root), MEMBERS)
    if not files.exists(members):
        return {}
    return {row["label"]: row["count"] for row in lake.spark.read.parquet(members).groupBy("label").count().collect()}


def _send(lake: Lake, registry: ModelRegistry, champion: RegisteredVersion) -> str:
    """Send the champion to the workers, and return the name that they know it by."""
    archive = f"classifier-{champion.digest[:16]}"
    with TemporaryDirectory() as folder:
        send(lake.spark, registry.download(champion.model_uri, champion.digest, Path(folder)), archive)
    return archive


@contextmanager
def _checkpoint(lake: Lake, rescore: bool) -> Iterator[str]:
    """Yield the checkpoint's URI. Rescoring looks at every image anew, so its own is thrown away."""
    if not rescore:
        yield lake.checkpoint("score", lake.path(IMAGES))
        return
    with TemporaryDirectory() as folder:
        yield Path(folder).as_uri()


def _open_images(lake: Lake) -> DataFrame:
    """Return the stream of the images whose folder gave them no label."""
    return (
        lake.spark.readStream.format("delta")
        .option("maxFilesPerTrigger", _FILES_PER_BATCH)
        .option("maxBytesPerTrigger", _BYTES_PER_BATCH)
        # Images may be deleted; what was said of them is no concern of the stream.
        .option("skipChangeCommits", "true")
        .load(lake.path(IMAGES))
        # Here and not in the batch, where no filter reaches the files: the bytes of labelled images are never read.
        .where("label IS NULL")
        .select("path", "content_sha256", "content")
    )


def _score_batch(lake: Lake, batch: DataFrame, archive: str, rescore: bool, result: ScoreResult) -> None:
    labelled = lake.read(LABELS).where("label IS NOT NULL").select("path")
    predicted = lake.read(PREDICTIONS)
    if rescore:
        predicted = predicted.where(F.col("model_version") == result.model_version)
    known = labelled.union(predicted.select("path"))
    tasks = _TASKS_PER_CORE * lake.spark.sparkContext.defaultParallelism
    # The frame of a batch reads its files again at every action. By content, so that copies come to one task.
    images = batch.join(known, "path", "left_anti").repartition(tasks, "content_sha256").persist(StorageLevel.DISK_ONLY)
    # MERGE reads its source twice, and a model would run twice.
    predictions = images.mapInArrow(predict(archive, Budget.of(lake.spark)), PREDICTED_COLUMNS).persist(
        StorageLevel.MEMORY_AND_DISK
    )
    try:
        counts = _count(predictions, result.threshold)
        if not counts:
            return
        rows = (
            predictions.withColumn("model_name", F.lit(result.model_name))
            .withColumn("model_version", F.lit(result.model_version))
            .withColumn("scored_at", F.lit(datetime.now(UTC)))
        )
        _add(result, counts)
        _add_failures(result, predictions)
        _add_examples(result, predictions, images)
        # Last: a commit to a table drops what was cached of a plan that reads it, and nothing would be left to score.
        lake.insert_new(PREDICTIONS, rows.select(PREDICTIONS.schema.fieldNames()))
    finally:
        predictions.unpersist()
        images.unpersist()


def _count(predictions: DataFrame, threshold: float) -> Counter[tuple[int | None, int | None, bool | None]]:
    """Count images by predicted label, bin of the histogram and whether they are doubtful."""
    score = F.col("predicted_score")
    last = F.lit(HISTOGRAM_BINS - 1)
    grouped = predictions.groupBy(
        "predicted_label",
        F.least(F.floor(score * HISTOGRAM_BINS), last).cast("int").alias("bin"),
        is_doubtful("predicted_score", threshold).alias("doubtful"),
    ).count()
    return Counter({(row["predicted_label"], row["bin"], row["doubtful"]): row["count"] for row in grouped.collect()})


def _add(result: ScoreResult, counts: Counter[tuple[int | None, int | None, bool | None]]) -> None:
    for (label, position, doubtful), count in counts.items():
        if label is None or position is None:
            result.failed += count
        else:
            result.scored += count
            result.by_label[label] += count
            result.histogram[position] += count
            result.doubtful += count if doubtful else 0


def _add_failures(result: ScoreResult, predictions: DataFrame) -> None:
    wanted = _FAILURES - len(result.failures)
    if wanted > 0 and result.failed > len(result.failures):
        rows = predictions.where("error IS NOT NULL").select("path", "error").limit(wanted).collect()
        result.failures += [(row["path"], row["error"]) for row in rows]


def _add_examples(result: ScoreResult, predictions: DataFrame, images: DataFrame) -> None:
    """Keep the images of the lowest scores, of this batch and those before."""
    bound = result.examples[-1].score if len(result.examples) == _EXAMPLES else 2.0
    rows = (
        predictions.where("error IS NULL")
        .where(F.col("predicted_score") < bound)
        .orderBy("predicted_score", "path")
        .limit(_EXAMPLES)
        .collect()
    )
    if rows:
        paths = [row["path"] for row in rows]
        found = images.where(F.col("path").isin(paths)).select("path", "content").collect()
        contents = {row["path"]: bytes(row["content"]) for row in found}
        new = [
            Example(row["path"], contents[row["path"]], row["predicted_label"], row["predicted_score"]) for row in rows
        ]
        result.examples = sorted([*result.examples, *new], key=lambda each: (each.score, each.path))[:_EXAMPLES]
