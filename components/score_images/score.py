"""Score unlabeled images with the champion, exactly once per image.

A run is a batch over the images in `files` that have neither a label nor a current prediction. It is no stream: a
checkpoint can outlive Delta's log, and would read the content of images that need no prediction. Instead, a watermark
separates new images from older ones: a run looks at images that were ingested after it. An anti-join with `predictions`
makes repetitions harmless, so the watermark moves only after a commit, and stays behind ingests that are not complete.

A rollback leaves images without a current prediction, and so does a promotion after the second one. A promotion also
leaves recent images without a prediction of the new champion. Therefore the runs after such a change search for these
images when they have scored the new ones, in bounded slices.

Workers read the content of the images to score, and of no others.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from time import monotonic

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from components.labeling.uncertain import is_uncertain
from components.lake import Lake
from components.lake.content import map_content, read_content
from components.lake.ingests import came_in_at, ingest_slices, settled_until
from components.lake.tables import FILES, LABELS, PREDICTIONS
from components.lake.views import attempted, has_folder_class
from components.parameters.scoring import DEFAULT_THRESHOLD
from components.poll import check_interval, repeat_until_sigterm
from components.registry.champion import read_succession, require_champion
from components.registry.model_registry import ModelRegistry, RegisteredVersion
from components.registry.promotions import record_promotion
from components.registry.tags import ACCURACY_TAG
from components.run_notes import ScoreNote, write_run_note
from components.score_images.class_fractions import ClassFractions
from components.score_images.field_accuracy import FieldAccuracy, read_field_accuracy
from components.score_images.predict import PREDICTED_COLUMNS, predict
from components.score_images.state import advance, begin, finish, read_state
from components.settings import Settings
from components.spark.frames import frame
from components.spark.memory_budget import Budget
from components.spark.send import send
from components.spark.session import spark_session
from components.succession import Succession
from components.training_set.new_labels import count_trained_images

HISTOGRAM_BINS = 20

# Bounds what a failed run repeats.
_BYTES_PER_BATCH = 2**30
# Bounds the older images that a run scores: a million of 68 kB. The next run scores the rest.
_SLICES_PER_RUN = 64
_RESCORE_DAYS = 30
_EXAMPLES = 24
_FAILURES = 50
_CONTENT_KEY = ["path", "content_sha256"]
# Columns by which the content of an image is found.
_STORED = (*_CONTENT_KEY, "load_date", "ingested_at")
_STORED_COLUMNS = "path STRING, content_sha256 STRING, load_date DATE, ingested_at TIMESTAMP"
_NO_CONTENT = "the table images has no content of this image"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ScoredImage:
    """An image with its prediction.

    Attributes:
        path: Key of the image in the lake.
        content: The image file.
        label: Predicted class id.
        score: Top probability of the prediction, 0..1.
    """

    path: str
    content: bytes
    label: int
    score: float


@dataclass
class ScoreResult:
    """Counts and examples of a scoring run.

    Attributes:
        model_name: The registered model.
        model_version: The version that scored; the last one if the champion changed during a continuous run.
        threshold: Score under which a prediction is uncertain, 0..1.
        scored: Number of images that were scored.
        failed: Number of images that could not be decoded.
        uncertain: Number of scored images whose score is under the threshold.
        histogram: Number of images by score, in `HISTOGRAM_BINS` equal bins from 0 to 1.
        by_label: Number of images by predicted class id.
        failures: Path and error of images that could not be decoded, at most 50.
        examples: The images with the lowest scores, lowest first, at most 24.
        class_names: Class names by class id.
        field_accuracy: Accuracy of all the model's versions in the field, from audits.
        test_accuracy: The version's accuracy on its test images, 0..1; None if the version has no such tag.
        class_fractions: Classes of the scored images, compared with the version's training set; None if no image was
            scored or the training set no longer exists.
        table_version: Version of table `predictions` after the run.
        seconds: Duration of the run in seconds.
    """

    model_name: str
    model_version: str
    threshold: float = DEFAULT_THRESHOLD
    scored: int = 0
    failed: int = 0
    uncertain: int = 0
    histogram: list[int] = field(default_factory=lambda: [0] * HISTOGRAM_BINS)
    by_label: Counter[int] = field(default_factory=Counter)
    failures: list[tuple[str, str]] = field(default_factory=list)
    examples: list[ScoredImage] = field(default_factory=list)
    class_names: dict[int, str] = field(default_factory=dict)
    field_accuracy: FieldAccuracy = field(default_factory=FieldAccuracy)
    test_accuracy: float | None = None
    class_fractions: ClassFractions | None = None
    table_version: int = 0
    seconds: float = 0


def score(
    settings: Settings,
    rescore: bool = False,
    continuous_interval: str = "",
    threshold: float = DEFAULT_THRESHOLD,
) -> ScoreResult:
    """Score the images that have neither a label nor a current prediction.

    Args:
        settings: Settings that name the lake, the registry and the model.
        rescore: Whether to also score images that only predecessors of the champion have scored. Existing predictions
            stay.
        continuous_interval: Time between two polls of the lake, e.g. `1 minute`; polling continues until SIGTERM. If
            empty, the run polls once.
        threshold: Score under which a prediction is uncertain, 0..1.

    Raises:
        InputError: The model has no champion, its files differ from the registered ones, or there is no lake.
        TimeoutError: Another run holds the lake's scoring lock for too long.
    """
    check_interval(continuous_interval)
    registry = ModelRegistry.open(settings)
    # Before Spark starts, to fail early.
    champion = require_champion(registry)
    lake = Lake.open(spark_session(settings), settings)

    def write_note(note: ScoreNote) -> None:
        write_run_note(settings, note)

    # One note per batch, so that the counts of an attempt that fails later are included.
    result = score_lake(
        lake, registry, champion, rescore, continuous_interval, threshold, write_note, settings.rescore_days
    )
    write_note(ScoreNote(model_version=result.model_version, scored=0, uncertain=0, failed=0))
    return result


def score_lake(
    lake: Lake,
    registry: ModelRegistry,
    champion: RegisteredVersion,
    rescore: bool = False,
    continuous_interval: str = "",
    threshold: float = DEFAULT_THRESHOLD,
    on_batch: Callable[[ScoreNote], None] = lambda note: None,
    rescore_days: int = _RESCORE_DAYS,
) -> ScoreResult:
    """Score the images of a lake as `score` does, in an existing Spark session.

    After each batch is written, the function calls `on_batch` with the batch's counts. After a promotion, the champion
    also scores images that were ingested in the last `rescore_days` days.
    """
    started = monotonic()
    result = ScoreResult(champion.name, champion.version, threshold)
    with lake.writer("score_images"):
        scorer = _Scorer(lake, registry, champion, rescore, rescore_days, result, on_batch)

        def poll(ending: Event) -> None:
            files_version = lake.version(FILES)
            # The champion may change during a continuous run. It is read after the version, so that it scores images
            # that arrive after its promotion. A single run uses one champion.
            if continuous_interval:
                scorer.follow_champion()
            scorer.score_new(files_version, ending)
            # One slice after each poll, so that new images do not wait for all older ones.
            slices = 1 if continuous_interval else sys.maxsize if rescore else _SLICES_PER_RUN
            if not (scorer.score_older(ending, slices) or continuous_interval):
                print("progress: the next run scores the remaining older images", flush=True)

        repeat_until_sigterm(poll, continuous_interval)
        result.examples = scorer.read_examples()
    result.class_names = lake.classes().names
    result.field_accuracy = read_field_accuracy(lake, result.model_name)
    champion = scorer.champion
    result.test_accuracy = float(champion.tags[ACCURACY_TAG]) if ACCURACY_TAG in champion.tags else None
    trained = count_trained_images(lake, champion) if result.scored else {}
    result.class_fractions = ClassFractions(result.by_label, trained) if trained else None
    result.table_version = lake.version(PREDICTIONS)
    result.seconds = monotonic() - started
    return result


class _Scorer:
    """Scorer of new images, and of older ones that the champion has to score.

    Attributes:
        champion: The version that scores.

    Args:
        lake: The lake. The caller holds its scoring lock.
        registry: The registry of the model.
        champion: The version that scores first.
        rescore: Whether to also score images that only predecessors have scored.
        rescore_days: Age in days up to which images that only predecessors have scored are scored after a promotion.
        result: The result to which each batch adds its counts.
        on_batch: Function to call with the counts of each batch after it is written.
    """

    champion: RegisteredVersion
    _archive: str
    _succession: Succession
    # Times of ingest of the older images to score, in slices; None if there are none.
    _older_slices: Iterator[list[int]] | None

    def __init__(
        self,
        lake: Lake,
        registry: ModelRegistry,
        champion: RegisteredVersion,
        rescore: bool,
        rescore_days: int,
        result: ScoreResult,
        on_batch: Callable[[ScoreNote], None],
    ) -> None:
        self._lake = lake
        self._registry = registry
        self._rescore = rescore
        self._rescore_days = rescore_days
        self._result = result
        self._on_batch = on_batch
        # Predictions with the lowest scores, lowest first.
        self._lowest: list[Row] = []
        # The version of `files` of which all new images are scored.
        self._files_version = -1
        self._use_champion(champion, read_succession(registry, champion))

    def follow_champion(self) -> None:
        """Switch to the current champion if the succession has changed."""
        champion = require_champion(self._registry)
        succession = read_succession(self._registry, champion)
        if succession != self._succession:
            self._use_champion(champion, succession)

    def score_new(self, files_version: int, ending: Event) -> None:
        """Score the images that were ingested after the watermark, and move it.

        Args:
            files_version: Version of `files`. If all its new images are scored, the function does nothing.
            ending: Ends the function after a batch.
        """
        if files_version == self._files_version:
            return
        # Before `files` is read, so that the ingests until then are complete there.
        settled = settled_until(self._lake.root, self._lake.files)
        watermark = read_state(self._lake, self._succession.model_name).scored_until
        images = self._unlabeled()
        if watermark is not None:
            images = images.where(F.col("ingested_at") > F.lit(watermark))
        # Most runs have one slice. It needs no second search.
        found = self._without_prediction(images).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            for number, times in enumerate(_slices(found)):
                batch = found if number == 0 else self._without_prediction(self._unlabeled().where(came_in_at(times)))
                self._score(batch.where(came_in_at(times)))
                self._advance(min(settled, _EPOCH + timedelta(microseconds=times[-1])))
                if ending.is_set():
                    return
        finally:
            found.unpersist()
        self._advance(settled)
        self._files_version = files_version
        if watermark is None:
            # All images were new.
            self._finish()

    def score_older(self, ending: Event, slices: int) -> bool:
        """Score older images that the champion has to score, and return whether all of them are scored.

        Args:
            ending: Ends the function after a slice.
            slices: Maximum number of slices of about 1 GiB.
        """
        for _ in range(slices):
            if self._older_slices is None or ending.is_set():
                break
            times = next(self._older_slices, None)
            if times is None:
                self._finish()
            else:
                self._score(self._outdated(self._unlabeled().where(came_in_at(times))))
        return self._older_slices is None

    def read_examples(self) -> list[ScoredImage]:
        """Return the images with the lowest scores, lowest first."""
        if not self._lowest:
            return []
        rows = [
            (row["path"], row["content_sha256"], row["load_date"], row["ingested_at"].astimezone(UTC))
            for row in self._lowest
        ]
        found = read_content(self._lake, frame(self._lake.spark, rows, _STORED_COLUMNS), 1).collect()
        contents = {(row["path"], row["content_sha256"]): bytes(row["content"]) for row in found}
        return [
            ScoredImage(row["path"], content, row["predicted_label"], row["predicted_score"])
            for row in self._lowest
            if (content := contents.get((row["path"], row["content_sha256"]))) is not None
        ]

    def _use_champion(self, champion: RegisteredVersion, succession: Succession) -> None:
        record_promotion(self._lake, self._registry)
        self._archive = _send(self._lake, self._registry, champion)
        self.champion, self._succession = champion, succession
        self._result.model_version = champion.version
        is_searched = begin(self._lake, succession)
        self._older_slices = None if is_searched and not self._rescore else self._find_older()

    def _find_older(self) -> Iterator[list[int]]:
        # A generator, so that the search starts with the first slice, after the new images are scored.
        yield from _slices(self._outdated(self._unlabeled()))

    def _unlabeled(self) -> DataFrame:
        """Return the current images without a label from their folder."""
        has_class = has_folder_class(self._lake.classes())
        return self._lake.current_images().where(~has_class).select(*_STORED, "length")

    def _without_prediction(self, images: DataFrame) -> DataFrame:
        """Select the images that have neither a label from people nor a current prediction."""
        return self._to_score(images, by_champion=self._rescore)

    def _outdated(self, images: DataFrame) -> DataFrame:
        """Select as `_without_prediction`, and recent images that only predecessors have scored."""
        since = F.lit(datetime.now(UTC) - timedelta(days=self._rescore_days))
        recent = self._to_score(images.where(F.col("ingested_at") >= since), by_champion=True)
        return recent.unionByName(self._without_prediction(images.where(F.col("ingested_at") < since)))

    def _to_score(self, images: DataFrame, by_champion: bool) -> DataFrame:
        # Literals, by which Delta skips files of other paths.
        first, last = images.agg(F.min("path"), F.max("path")).first() or (None, None)
        in_range = F.col("path").between(F.lit(first), F.lit(last))
        labels = self._lake.read(LABELS).where(in_range & F.col("label").isNotNull()).select(*_CONTENT_KEY)
        scored = attempted(self._lake.read(PREDICTIONS).where(in_range), self._succession, by_champion)
        return images.join(labels.union(scored), _CONTENT_KEY, "left_anti")

    def _finish(self) -> None:
        self._older_slices = None
        finish(self._lake, self._succession)

    def _advance(self, scored_until: datetime) -> None:
        advance(self._lake, self._succession, scored_until)

    def _score(self, images: DataFrame) -> None:
        """Score images, and write their predictions by one commit."""
        result = self._result
        scored, uncertain, failed = result.scored, result.uncertain, result.failed
        if not self._write_predictions(images):
            return
        self._on_batch(
            ScoreNote(
                model_version=result.model_version,
                scored=result.scored - scored,
                uncertain=result.uncertain - uncertain,
                failed=result.failed - failed,
            )
        )
        print(f"progress: {result.scored + result.failed:,} images scored", flush=True)

    def _write_predictions(self, images: DataFrame) -> bool:
        """Score images, and return whether there were any."""
        lake, result = self._lake, self._result
        images = images.select(*_STORED).persist(StorageLevel.MEMORY_AND_DISK)
        # One image for each content, so that all copies get one prediction.
        chosen = images.groupBy("content_sha256").agg(
            F.min(F.struct("path", "load_date", "ingested_at")).alias("image")
        )
        scoring = predict(self._archive, Budget.of(lake.spark))
        predicted = map_content(lake, chosen.select("content_sha256", "image.*"), scoring, PREDICTED_COLUMNS)
        by_content = predicted.join(chosen.select("content_sha256", F.col("image.path")), "path").drop("path")
        # Persisted, because the predictions are counted, then written, and the model would run twice.
        predictions = (
            images.join(by_content, "content_sha256", "left")
            .withColumn("error", F.when(F.col("predicted_label").isNull(), F.coalesce("error", F.lit(_NO_CONTENT))))
            .persist(StorageLevel.MEMORY_AND_DISK)
        )
        try:
            counts = _count(predictions, result.threshold)
            if not counts:
                return False
            _add_counts(result, counts)
            _add_failures(result, predictions)
            self._add_examples(predictions)
            rows = predictions.withColumns(
                {
                    "model_digest": F.lit(self.champion.digest),
                    "model_name": F.lit(self.champion.name),
                    "model_version": F.lit(self.champion.version),
                    "scored_at": F.lit(datetime.now(UTC)),
                }
            )
            # Last, because a commit to a table invalidates cached frames that read it. No MERGE: the images have no
            # prediction of the champion, and this run holds the scoring lock.
            lake.append(PREDICTIONS, rows.select(PREDICTIONS.schema.fieldNames()))
            return True
        finally:
            predictions.unpersist()
            images.unpersist()

    def _add_examples(self, predictions: DataFrame) -> None:
        """Merge a batch into the predictions with the lowest scores."""
        highest = self._lowest[-1]["predicted_score"] if len(self._lowest) == _EXAMPLES else 2.0
        rows = (
            predictions.where(F.col("error").isNull() & (F.col("predicted_score") < highest))
            .orderBy("predicted_score", "path")
            .limit(_EXAMPLES)
            .collect()
        )
        self._lowest = sorted([*self._lowest, *rows], key=lambda row: (row["predicted_score"], row["path"]))[:_EXAMPLES]


def _slices(images: DataFrame) -> Iterator[list[int]]:
    return ingest_slices(images, F.sum("length"), _BYTES_PER_BATCH)


def _send(lake: Lake, registry: ModelRegistry, champion: RegisteredVersion) -> str:
    """Send the champion to the workers, and return the name of its archive."""
    archive = f"classifier-{champion.digest[:16]}"
    with TemporaryDirectory() as folder:
        send(lake.spark, registry.download(champion.model_uri, champion.digest, Path(folder)), archive)
    return archive


def _count(predictions: DataFrame, threshold: float) -> Counter[tuple[int | None, int | None, bool | None]]:
    """Count images by predicted class id, bin of the histogram and uncertainty."""
    score = F.col("predicted_score")
    last_bin = F.lit(HISTOGRAM_BINS - 1)
    grouped = predictions.groupBy(
        "predicted_label",
        F.least(F.floor(score * HISTOGRAM_BINS), last_bin).cast("int").alias("bin"),
        is_uncertain("predicted_score", threshold).alias("uncertain"),
    ).count()
    return Counter({(row["predicted_label"], row["bin"], row["uncertain"]): row["count"] for row in grouped.collect()})


def _add_counts(result: ScoreResult, counts: Counter[tuple[int | None, int | None, bool | None]]) -> None:
    for (label, score_bin, uncertain), count in counts.items():
        if label is None or score_bin is None:
            result.failed += count
        else:
            result.scored += count
            result.by_label[label] += count
            result.histogram[score_bin] += count
            result.uncertain += count if uncertain else 0


def _add_failures(result: ScoreResult, predictions: DataFrame) -> None:
    room = _FAILURES - len(result.failures)
    if room > 0 and result.failed > len(result.failures):
        rows = predictions.where("error IS NOT NULL").select("path", "error").limit(room).collect()
        result.failures += [(row["path"], row["error"]) for row in rows]
