"""Accuracy in the field: the fraction of audits that the model predicts correctly.

Audits are drawn at random whatever their score, so they represent the images that arrive. The test images may no longer
represent them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import functions as F

from components.intervals import Interval, fraction_interval
from components.labeling.requests import AUDIT, LABELED, is_request_of
from components.lake import Lake
from components.lake.tables import LABELING_REQUESTS, LABELS
from components.lake.views import merge_classes


@dataclass(frozen=True)
class Audits:
    """Counts of images that were sent for audit.

    Attributes:
        sent: Images sent for audit.
        labeled: Audited images that have a label. An image that people skipped, or on which they disagree, has none.
        correct: Labeled audits whose predicted class is the label.
    """

    sent: int = 0
    labeled: int = 0
    correct: int = 0

    def __add__(self, other: "Audits") -> "Audits":
        return Audits(self.sent + other.sent, self.labeled + other.labeled, self.correct + other.correct)

    @property
    def accuracy(self) -> float | None:
        """Fraction of labeled audits that are correct, 0..1; None without labeled audits."""
        return self.correct / self.labeled if self.labeled else None

    @property
    def interval(self) -> Interval | None:
        """95 % confidence interval of the accuracy; None without labeled audits."""
        return fraction_interval(self.correct, self.labeled) if self.labeled else None


@dataclass(frozen=True)
class FieldAccuracy:
    """Audits of a registered model by version and week.

    Attributes:
        by_week: Audits by the version that predicted their class, and by the Monday of the week in which they were
            sent.
    """

    by_week: Mapping[tuple[str, date], Audits] = field(default_factory=dict)

    def versions(self) -> list[str]:
        """Return the model versions that have audits, oldest first."""
        return sorted({version for version, _ in self.by_week}, key=_version_order)

    def of_version(self, version: str) -> Audits:
        """Return the sum of a version's audits over all weeks."""
        return _sum(audits for (audited, _), audits in self.by_week.items() if audited == version)

    def weeks(self, version: str) -> list[tuple[date, Audits]]:
        """Return a version's audits by week, oldest first."""
        return sorted((week, audits) for (audited, week), audits in self.by_week.items() if audited == version)


def read_field_accuracy(lake: Lake, model_name: str) -> FieldAccuracy:
    """Count the audits of a registered model by version and week.

    Reads the tables of classes, requests and labels, but neither images nor predictions.
    """
    classes = lake.classes()
    audits = lake.read(LABELING_REQUESTS).where((F.col("reason") == AUDIT) & is_request_of(model_name))
    # A label of another content, which replaced the file, says nothing about the prediction.
    content = ["path", "content_sha256"]
    requests = merge_classes(audits, classes, "predicted_label").select(
        *content,
        "model_version",
        F.date_trunc("week", "requested_at").cast("date").alias("week"),
        (F.col("outcome") == LABELED).alias("is_labeled"),
        "predicted_label",
    )
    labels = merge_classes(lake.read(LABELS), classes, "label").select(*content, "label")
    rows = (
        requests.join(labels, content, "left")
        .groupBy("model_version", "week")
        .agg(
            F.count("*").alias("sent"),
            F.count_if(F.col("is_labeled") & F.col("label").isNotNull()).alias("labeled"),
            F.count_if(F.col("is_labeled") & (F.col("label") == F.col("predicted_label"))).alias("correct"),
        )
        .collect()
    )
    return FieldAccuracy(
        {(row["model_version"], row["week"]): Audits(row["sent"], row["labeled"], row["correct"]) for row in rows}
    )


def _sum(audits: Iterable[Audits]) -> Audits:
    return sum(audits, Audits())


def _version_order(version: str) -> tuple[int, str]:
    # MLflow numbers versions, and as text, 10 would come before 9.
    return (int(version) if version.isdecimal() else 0, version)
