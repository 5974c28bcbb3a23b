"""Views of the lake's tables: current images, effective labels, current predictions, and `image_data`."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.lake.classes import LakeClasses
from components.lake.tables import IMAGE, QUARANTINED, UNRECORDED
from components.spark.frames import frame
from components.succession import ModelVersion, Succession

# What a person or a model says about an image belongs to the content of that time: a replaced file starts anew.
_CONTENT_KEY = ["path", "content_sha256"]


def current_images(files: DataFrame) -> DataFrame:
    """Return the current image of each path.

    Args:
        files: Rows of `files`.

    Returns:
        Frame of path, content_sha256, source_sha256, source, length, modificationTime, folder_label (class id, or
        null), load_date and ingested_at, each path once.
    """
    return files.where(F.col("state") == IMAGE).select(
        "path",
        "content_sha256",
        "source_sha256",
        "source",
        "length",
        "modificationTime",
        "folder_label",
        "load_date",
        "ingested_at",
    )


def quarantine(files: DataFrame) -> DataFrame:
    """Return the files that are in quarantine.

    Args:
        files: Rows of `files`.

    Returns:
        Frame of path, modificationTime, length, source_sha256, reason and load_date, each path once.
    """
    return files.where(F.col("state") == QUARANTINED).select(
        "path", "modificationTime", "length", "source_sha256", "reason", "load_date"
    )


def merge_classes(rows: DataFrame, classes: LakeClasses, *columns: str) -> DataFrame:
    """Replace classes that were merged by the class that counts, and retired classes by null.

    Args:
        rows: Frame with the columns named.
        classes: The classes of the lake.
        columns: Columns with class ids.

    Returns:
        The frame with the same columns.

    Raises:
        InputError: Classes were merged in a circle.
    """
    return _replace_classes(rows, classes.merges, *columns)


def _replace_classes(rows: DataFrame, merges: Mapping[int, int | None], *columns: str) -> DataFrame:
    if not merges:
        return rows
    pairs = F.broadcast(frame(rows.sparkSession, merges.items(), "_merged INT, _class INT"))
    for column in columns:
        rows = (
            rows.join(pairs, F.col(column) == F.col("_merged"), "left")
            .withColumn(column, F.when(F.col("_merged").isNull(), F.col(column)).otherwise(F.col("_class")))
            .drop("_merged", "_class")
        )
    return rows


def has_folder_class(classes: LakeClasses) -> Column:
    """Return the condition that the folder of an image names a class that is not retired.

    Args:
        classes: The classes of the lake.
    """
    retired = [label for label, replacement in classes.merges.items() if replacement is None]
    return F.col("folder_label").isNotNull() & ~F.col("folder_label").isin(retired)


def effective_labels(current: DataFrame, labels: DataFrame, classes: LakeClasses) -> DataFrame:
    """Replace the folder's label of each image by its effective label.

    A person's label takes precedence over the folder's. A merged class is replaced by the class it was merged into. A
    retired class is no label.

    Args:
        current: Frame with path, content_sha256 and folder_label (class id, or null), and any other columns.
        labels: Rows of `labels`.
        classes: The classes of the lake.

    Returns:
        The frame without `folder_label`, with the effective label as `label` (null without any), and `label_source`:
        the labeling service that a person used, `folder`, or null without a label.
    """
    people = labels.select(*_CONTENT_KEY, F.col("label").alias("_person"), F.col("source").alias("_service"))
    labeled = merge_classes(current.join(people, _CONTENT_KEY, "left"), classes, "_person", "folder_label")
    of_folder = F.col("folder_label").isNotNull()
    source = F.when(F.col("_person").isNotNull(), F.col("_service")).when(of_folder, F.lit("folder"))
    return (
        labeled.withColumn("label_source", source)
        .withColumn("label", F.coalesce("_person", "folder_label"))
        .drop("_person", "_service", "folder_label")
    )


def current_predictions(predictions: DataFrame, succession: Succession, classes: LakeClasses) -> DataFrame:
    """Return the current prediction of each content that a path has had.

    It is the champion's. If the champion has none, or could not decode the image, it is the newest predecessor's.
    Predictions of other models and of withdrawn versions never count. A class that was merged is replaced by the class
    that counts. A retired class stays, because it is what the model saw.

    Args:
        predictions: Rows of `predictions`.
        succession: The versions that count.
        classes: The classes of the lake.

    Returns:
        Frame of path, content_sha256, predicted_label, predicted_score (0..1) and model_version, each path and content
        at most once.
    """
    columns = ("predicted_label", "predicted_score", "model_version")
    place = F.coalesce(
        *(F.when(_is_of(succession, [version]), F.lit(place)) for place, version in enumerate(succession.versions)),
        F.lit(len(succession.versions)),
    )
    # A version of a migrated lake can have scored an image under its digest, too.
    rank = F.struct(place, F.col("model_digest") == UNRECORDED)
    # The filter leaves at most three versions to shuffle, however many the table has.
    current = (
        predictions.where(_is_of(succession, succession.versions) & F.col("error").isNull())
        .groupBy(*_CONTENT_KEY)
        .agg(F.min_by(F.struct(*columns), rank).alias("current"))
        .select(*_CONTENT_KEY, "current.*")
    )
    merges = {label: end for label, end in classes.merges.items() if end is not None}
    return _replace_classes(current, merges, "predicted_label")


def attempted(predictions: DataFrame, succession: Succession, by_champion: bool) -> DataFrame:
    """Return the contents that the champion need not score.

    The champion does not retry an image that it could not decode. It does if only a predecessor could not.

    Args:
        predictions: Rows of `predictions`.
        succession: The versions that count.
        by_champion: Whether only the champion's predictions count, not its predecessors'.

    Returns:
        Frame of path and content_sha256, possibly with duplicates.
    """
    counts = _is_of(succession, succession.versions[:1])
    if not by_champion:
        counts |= _is_of(succession, succession.versions[1:]) & F.col("error").isNull()
    return predictions.where(counts).select(*_CONTENT_KEY)


def _is_of(succession: Succession, versions: tuple[ModelVersion, ...] | list[ModelVersion]) -> Column:
    """Return whether a prediction is of one of the versions.

    The digest decides. Release 0.1.0 recorded no digests, so its predictions count by name and version.
    """
    digests = [version.digest for version in versions if version.digest]
    # The partitions are named on their own, so that no other is read.
    recorded = F.col("model_digest").isin(digests)
    by_number = F.col("model_version").isin([version.version for version in versions])
    earlier = (F.col("model_digest") == UNRECORDED) & (F.col("model_name") == succession.model_name) & by_number
    return F.col("model_digest").isin([*digests, UNRECORDED]) & (recorded | earlier)


def image_data(
    current: DataFrame,
    images: DataFrame,
    classes: LakeClasses,
    labels: DataFrame,
    predictions: DataFrame,
    succession: Succession,
) -> DataFrame:
    """Join the narrow tables to the columns that the reference system keeps in one wide table.

    Args:
        current: Current images.
        images: Rows of `images`.
        classes: The classes of the lake.
        labels: Rows of `labels`.
        predictions: Rows of `predictions`.
        succession: The versions whose predictions count.

    Returns:
        Frame of path, modificationTime, length, content, content_sha256, label (the effective one), load_date,
        predicted_label, predicted_score (0..1) and model_version (of the current prediction), each path once.
    """
    # By time too: a file that is replaced and restored on one day has the same content twice.
    stored = [*_CONTENT_KEY, "load_date", "ingested_at"]
    return (
        effective_labels(current, labels, classes)
        .join(current_predictions(predictions, succession, classes), _CONTENT_KEY, "left")
        .join(images.select(*stored, "content"), stored, "left")
        .select(
            "path",
            "modificationTime",
            "length",
            "content",
            "content_sha256",
            "label",
            "load_date",
            "predicted_label",
            "predicted_score",
            "model_version",
        )
    )
