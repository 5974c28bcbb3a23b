"""Count the predictions that challenger and champion made for the test images, in Spark.

The driver gets counts by group of images, true and predicted class, never a row for each image.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup
from components.evaluate_classifier.evaluations import read_evaluations
from components.evaluate_classifier.tally import Paired, Tally
from components.labeling.requests import AUDIT, UNCERTAIN
from components.lake import Lake
from components.lake.tables import FILES, LABELING_REQUESTS, LABELS, PROMOTIONS
from components.registry.model_registry import RegisteredVersion
from components.registry.tags import TRAINING_SET_URI_TAG
from components.spark.frames import frame
from components.storage import uri
from components.training_set.manifest import MEMBERS, SplitName, TrainingSet
from components.training_set.members import read_members

# Value of the column `group` of images that one of the models was trained on.
_TRAINED_ON = "trained on"


@dataclass(frozen=True)
class ComparedImages:
    """Test images with the predictions of both models.

    Attributes:
        comparison: Counts of the predictions by group of images.
        left_out: Number of test images that do not count, because the champion was trained on them.
        mistakes: The challenger's mistakes with the highest scores, highest first: rows of path, segment, row,
            content_sha256, label, predicted and score.
        failures: Images that the challenger could not classify: rows of path and error.
    """

    comparison: Comparison
    left_out: int
    mistakes: list[Row]
    failures: list[Row]


def read_test_images(lake: Lake, training_set: TrainingSet) -> DataFrame:
    """Return the test images of a training set.

    Returns:
        Frame of path, content_sha256, label, segment and row, each content once.
    """
    members = read_members(lake.spark, uri.join(training_set.uri, MEMBERS))
    return members.where(F.col("split") == SplitName.TEST.value).select(
        "path", "content_sha256", "label", "segment", "row"
    )


def compare(
    lake: Lake,
    training_set: TrainingSet,
    test_images: DataFrame,
    challenger_digest: str,
    champion: RegisteredVersion | None,
    examples: int,
) -> ComparedImages:
    """Compare the kept predictions of challenger and champion.

    Args:
        lake: The lake, whose `evaluations` have a row of each test image for both models.
        training_set: The training set of the test images.
        test_images: Frame as `read_test_images` returns it.
        challenger_digest: SHA-256 of the challenger's SavedModel.
        champion: The champion; None without one.
        examples: Maximum number of mistakes, and of failures.
    """
    since = _champion_since(lake, champion)
    images = _grouped(lake, test_images, champion, since).join(
        _predictions(lake, challenger_digest, training_set.merged, "challenger"), "content_sha256", "left"
    )
    if champion is not None:
        theirs = _predictions(lake, champion.digest, training_set.merged, "champion").drop("score", "error")
        images = images.join(theirs, "content_sha256", "left")
    with _persisted(images) as found:
        compared = found.where(F.col("group") != _TRAINED_ON)
        return ComparedImages(
            Comparison(
                _outcomes(compared, has_champion=champion is not None),
                champion.version if champion else "",
                champion is not None and champion.digest == challenger_digest,
                _weeks_since(since),
            ),
            found.where(F.col("group") == _TRAINED_ON).count(),
            _mistakes(compared).limit(examples).collect(),
            compared.where("error IS NOT NULL").select("path", "error").orderBy("path").limit(examples).collect(),
        )


@contextmanager
def _persisted(images: DataFrame) -> Iterator[DataFrame]:
    persisted = images.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield persisted
    finally:
        persisted.unpersist()


def _grouped(
    lake: Lake, test_images: DataFrame, champion: RegisteredVersion | None, since: datetime | None
) -> DataFrame:
    """Add `group`, an `ImageGroup` or `_TRAINED_ON`, and `fresh`, whether an image is newer than the champion."""
    images = test_images.join(_requested(lake), "content_sha256", "left")
    group = F.when(F.col("_requested"), ImageGroup.REQUESTED.value).otherwise(ImageGroup.MEASURED.value)
    trained_on = _trained_on(lake, champion)
    if trained_on is not None:
        images = images.join(trained_on, "content_sha256", "left")
        group = F.when(F.col("_trained_on"), _TRAINED_ON).otherwise(group)
    fresh: Column = F.lit(False)
    if since is not None:
        images = images.join(_newer(lake, since, test_images), ["path", "content_sha256"], "left")
        fresh = F.coalesce("_newer", fresh)
    return images.withColumns({"group": group, "fresh": fresh}).drop("_requested", "_trained_on", "_newer")


def _trained_on(lake: Lake, champion: RegisteredVersion | None) -> DataFrame | None:
    """Return the contents that the champion was trained on, as content_sha256 and `_trained_on`; None without any.

    The split of a content never changes, so a champion of this lake has learned no test image, and neither has one
    whose training set is gone. This finds the images of a champion that another lake's images trained.
    """
    members = champion.tags.get(TRAINING_SET_URI_TAG) if champion else None
    if not members or not lake.files.exists(uri.join(members, MEMBERS)):
        return None
    learned = read_members(lake.spark, uri.join(members, MEMBERS)).where(F.col("split") != SplitName.TEST.value)
    return learned.select("content_sha256", F.lit(True).alias("_trained_on")).distinct()


def _requested(lake: Lake) -> DataFrame:
    """Return the contents that people were asked to label, as content_sha256 and `_requested`.

    `_requested` is whether a model was uncertain. An audit was drawn at random, whatever a model predicts.
    """
    is_audit = F.bool_or(F.col("reason") == AUDIT)
    return (
        lake.read(LABELING_REQUESTS)
        .where(F.col("reason").isin(AUDIT, UNCERTAIN))
        .groupBy("content_sha256")
        .agg((~is_audit).alias("_requested"))
    )


def _champion_since(lake: Lake, champion: RegisteredVersion | None) -> datetime | None:
    """Return when the champion was promoted last; None without one."""
    if champion is None:
        return None
    promotions = lake.read(PROMOTIONS).where(
        (F.col("model_name") == champion.name) & (F.col("model_digest") == champion.digest)
    )
    (since,) = promotions.agg(F.max("since")).first() or (None,)
    return None if since is None else since.astimezone(UTC)


def _weeks_since(since: datetime | None) -> float | None:
    return None if since is None else (datetime.now(UTC) - since) / timedelta(weeks=1)


def _newer(lake: Lake, since: datetime, test_images: DataFrame) -> DataFrame:
    """Return the test images that were ingested or labeled since a time, as path, content_sha256 and `_newer`."""
    key = ["path", "content_sha256"]
    ingested = lake.read(FILES).where(F.col("ingested_at") >= F.lit(since)).select(*key)
    labeled = lake.read(LABELS).where(F.col("labeled_at") >= F.lit(since)).select(*key)
    newer = ingested.union(labeled).join(test_images.select(*key), key, "left_semi")
    return newer.distinct().withColumn("_newer", F.lit(True))


def _predictions(lake: Lake, digest: str, merged: Mapping[int, int], model: str) -> DataFrame:
    """Return a model's predictions, as content_sha256, `model` (the predicted class id), score and error.

    A model may know classes that were merged since its training, and then predicts the class that counts for them.
    """
    predictions = read_evaluations(lake, digest)
    label = F.col("predicted_label")
    if merged:
        pairs = F.broadcast(frame(lake.spark, merged.items(), "_merged INT, _class INT"))
        predictions = predictions.join(pairs, F.col("predicted_label") == F.col("_merged"), "left")
        label = F.coalesce("_class", "predicted_label")
    return predictions.select("content_sha256", label.alias(model), F.col("predicted_score").alias("score"), "error")


def _outcomes(images: DataFrame, *, has_champion: bool) -> dict[ImageGroup, GroupOutcome]:
    challenger = _counts(images, "challenger")
    champion = _counts(images, "champion") if has_champion else []
    paired = _counts(images, _is_right("challenger"), _is_right("champion")) if has_champion else []
    return {
        group: GroupOutcome(
            Tally.of(_of_group(challenger, group)),
            Tally.of(_of_group(champion, group)) if has_champion else None,
            Paired.of(_of_group(paired, group)) if has_champion else None,
        )
        for group in ImageGroup
    }


def _is_right(model: str) -> Column:
    return F.coalesce(F.col(model) == F.col("label"), F.lit(False)).alias(f"{model}_is_right")


def _counts(images: DataFrame, *columns: Column | str) -> list[Row]:
    """Count images by group, fresh, true class and other columns."""
    return list(images.groupBy("group", "fresh", "label", *columns).count().collect())


def _of_group(counts: list[Row], group: ImageGroup) -> Iterator[tuple[Any, ...]]:
    """Yield the counts of a group without its columns."""
    for of_group, fresh, *count in counts:
        if of_group == group.value or (group is ImageGroup.FRESH and fresh and of_group == ImageGroup.MEASURED.value):
            yield tuple(count)


def _mistakes(images: DataFrame) -> DataFrame:
    return (
        images.where(F.col("challenger") != F.col("label"))
        .select("path", "segment", "row", "content_sha256", "label", F.col("challenger").alias("predicted"), "score")
        .orderBy(F.desc("score"), "path")
    )
