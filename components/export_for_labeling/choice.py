"""Which images people are asked about."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.doubtful import DEFAULT_THRESHOLD, is_doubtful
from components.errors import InputError, check_shares
from components.lake import Lake
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS

DOUBTFUL = "doubtful"
AUDIT = "audit"

# Hexadecimal digits of a hash that a double holds exactly.
_DIGITS = 13


@dataclass(frozen=True)
class Choice:
    """How images are chosen.

    A hash of seed and content decides which images belong to a fraction, so the next run decides alike: what was left
    out once is not sent bit by bit.

    Attributes:
        threshold: Best score under which an image is doubtful, 0..1.
        fraction: Part of the doubtful images to send, 0..1.
        budget: How many doubtful images to send, lowest score first; 0 takes the fraction.
        audit_fraction: Part of the images that are new since the last request to send whatever their score, 0..1.
        seed: Mixed into the hash.

    Raises:
        InputError: A value is out of its range.
    """

    threshold: float = DEFAULT_THRESHOLD
    fraction: float = 0.1
    budget: int = 0
    audit_fraction: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        check_shares({name: getattr(self, name) for name in ("threshold", "fraction", "audit_fraction")})
        if self.budget < 0:
            raise InputError(
                f"budget: {self.budget} is less than 0. Give a number of images, or 0 for none in particular."
            )


def candidates(lake: Lake, choice: Choice) -> DataFrame:
    """Return the images that a model scored, that nobody labelled and that nobody was asked about, each content once.

    A content that has a label or a request under one path is none under any other.

    Only what was scored since the last request can become an audit. What is older has been chosen from: its doubtful
    images are gone, and a sample of the rest, by a larger fraction or another seed, would flatter the model.

    Returns:
        Frame of path (of a content's paths the first), content_sha256, predicted_label, predicted_score (0..1) and
        model_version of the newest prediction, and the booleans doubtful and audit.
    """
    images = lake.read(IMAGES).select("path", "content_sha256", "label")
    labelled = lake.read(LABELS).where("label IS NOT NULL").select("path")
    settled = labelled.union(lake.read(LABELING_REQUESTS).select("path")).distinct().withColumn("settled", F.lit(True))
    said = ("predicted_label", "predicted_score", "model_version")
    newest = F.max_by(F.struct(*said), F.struct("scored_at", "model_version"))
    predicted = (
        lake.read(PREDICTIONS)
        .where("error IS NULL")
        .groupBy("path")
        .agg(newest.alias("newest"), F.min("scored_at").alias("first_scored_at"))
    )
    last_request = lake.read(LABELING_REQUESTS).agg(F.max("requested_at").alias("last_requested_at"))
    scored_path = F.when(F.col("newest").isNotNull(), F.col("path"))
    return (
        images.join(settled, "path", "left")
        .join(predicted, "path", "left")
        .groupBy("content_sha256")
        .agg(
            F.bool_or(F.col("label").isNotNull() | F.col("settled").isNotNull()).alias("settled"),
            F.min_by(F.struct("path", "newest.*"), scored_path).alias("first"),
            F.min("first_scored_at").alias("first_scored_at"),
        )
        .where("NOT settled AND first IS NOT NULL")
        .crossJoin(F.broadcast(last_request))
        .select(
            "first.*",
            "content_sha256",
            is_doubtful("first.predicted_score", choice.threshold).alias("doubtful"),
            (
                (_position(AUDIT, choice.seed) < choice.audit_fraction)
                & F.coalesce(F.col("first_scored_at") > F.col("last_requested_at"), F.lit(True))
            ).alias("audit"),
        )
    )


def choose(candidates: DataFrame, choice: Choice) -> DataFrame:
    """Return those of the candidates that people shall see, with the reason.

    What the audit's hash hits is an audit, doubtful or not: so the audits are a fair sample of all new images, and a
    model's accuracy on them is its accuracy in use.
    """
    rest = candidates.where("doubtful AND NOT audit")
    doubtful = (
        rest.orderBy("predicted_score", "path").limit(choice.budget)
        if choice.budget
        else rest.where(_position(DOUBTFUL, choice.seed) < choice.fraction)
    )
    audits = candidates.where("audit").withColumn("reason", F.lit(AUDIT))
    return audits.unionByName(doubtful.withColumn("reason", F.lit(DOUBTFUL)))


def _position(purpose: str, seed: int) -> Column:
    """Return where from 0 to 1 a content stands; for another purpose it stands independently of that."""
    digest = F.sha2(F.concat(F.lit(f"{purpose}:{seed}:"), "content_sha256"), 256)
    return F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("double") / float(16**_DIGITS)
