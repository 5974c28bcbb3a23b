"""The selection of images for labeling: uncertain ones, and a random sample for audits."""

from datetime import datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.labeling.requests import AUDIT, UNCERTAIN
from components.labeling.uncertain import is_uncertain
from components.lake import Lake
from components.lake.tables import LABELING_REQUESTS, LABELS, PREDICTIONS
from components.lake.views import current_predictions, has_folder_class
from components.parameters import Choice
from components.succession import Succession

# Number of hexadecimal digits that a double represents exactly: 13 * 4 bits are fewer than its 53.
_DIGITS = 13


def candidates(lake: Lake, succession: Succession, choice: Choice, now: datetime) -> DataFrame:
    """Return the images that have a current prediction, but no label and no request.

    Each content appears once. A label or a request under any path of a content excludes the content.

    Predictions that are older than `candidate_days` do not count, so the cost grows with the images of these days, not
    with the lake. The files of recent predictions also bound the paths that are looked up in `files`.

    Only images that were first scored after the last request can be audited. Earlier exports have removed the uncertain
    ones among the older images, so a sample of the rest would overestimate the model's accuracy.

    Args:
        lake: The lake.
        succession: The models whose predictions count.
        choice: Rules by which images are selected.
        now: The time of this export, in UTC.

    Returns:
        Frame of path (the first path of the content), content_sha256, predicted_label, predicted_score (0..1) and
        model_version of the current prediction, and the booleans uncertain and audit.
    """
    predictions = lake.read(PREDICTIONS)
    images = lake.current_images()
    is_new = F.lit(True)
    if choice.candidate_days:
        since = now - timedelta(days=choice.candidate_days)
        predictions = predictions.where(F.col("scored_at") >= since)
        # An older image has a prediction that the filter above removes, so its first one is unknown.
        is_new = F.col("ingested_at") >= since
    classes = lake.classes()
    current = current_predictions(predictions, succession, classes)
    first_path, last_path = current.agg(F.min("path"), F.max("path")).first()
    # Predictions of withdrawn versions count too: earlier exports selected by them.
    first_scored = (
        predictions.where("error IS NULL")
        .groupBy("path", "content_sha256")
        .agg(F.min("scored_at").alias("first_scored_at"))
    )
    has_class = has_folder_class(classes)
    last_request = lake.read(LABELING_REQUESTS).agg(F.max("requested_at").alias("last_requested_at"))
    return (
        # Literals, because Delta skips files by literals only.
        images.where(F.col("path").between(F.lit(first_path), F.lit(last_path)) & ~has_class)
        .select("path", "content_sha256", is_new.alias("is_new"))
        .join(current, ["path", "content_sha256"])
        .join(first_scored, ["path", "content_sha256"])
        .groupBy("content_sha256")
        .agg(
            F.min(F.struct("path", "predicted_label", "predicted_score", "model_version")).alias("first"),
            F.min("first_scored_at").alias("first_scored_at"),
            F.bool_and("is_new").alias("is_new"),
        )
        .join(_settled_contents(lake, has_class), "content_sha256", "left_anti")
        .crossJoin(F.broadcast(last_request))
        .select(
            "first.*",
            "content_sha256",
            is_uncertain("first.predicted_score", choice.threshold).alias("uncertain"),
            (
                (_position(AUDIT, choice.seed) < choice.audit_fraction)
                & F.col("is_new")
                & F.coalesce(F.col("first_scored_at") > F.col("last_requested_at"), F.lit(True))
            ).alias("audit"),
        )
    )


def _settled_contents(lake: Lake, has_class: Column) -> DataFrame:
    """Return the contents that have a label or a request under any path, possibly with duplicates."""
    labeled_by_people = lake.read(LABELS).where("label IS NOT NULL")
    labeled_by_folder = lake.current_images().where(has_class)
    frames = (labeled_by_people, labeled_by_folder, lake.read(LABELING_REQUESTS))
    first, *others = (rows.select("content_sha256") for rows in frames)
    for other in others:
        first = first.union(other)
    return first


def choose(candidates: DataFrame, choice: Choice) -> DataFrame:
    """Return the candidates to export, with the reason of the request.

    An image that is drawn for audit is an audit even if it is uncertain. So the audits are a random sample of all new
    images, and the accuracy on them estimates the accuracy in the field.
    """
    rest = candidates.where("uncertain AND NOT audit")
    uncertain = (
        rest.orderBy("predicted_score", "path").limit(choice.budget)
        if choice.budget
        else rest.where(_position(UNCERTAIN, choice.seed) < choice.fraction)
    )
    audits = candidates.where("audit").withColumn("reason", F.lit(AUDIT))
    return audits.unionByName(uncertain.withColumn("reason", F.lit(UNCERTAIN)))


def _position(purpose: str, seed: int) -> Column:
    """Return a pseudorandom number from 0 to 1 for each content, independent for each purpose and seed."""
    digest = F.sha2(F.concat(F.lit(f"{purpose}:{seed}:"), "content_sha256"), 256)
    return F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("double") / float(16**_DIGITS)
