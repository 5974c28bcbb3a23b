"""Accuracy in use: what people said of the audits, beside what the model had said.

An audit is drawn whatever the score, so the share of audits on which people and model agree is the model's accuracy on
the images that really come in. The test images may have become another kind of image since.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import functions as F

from components.export_for_labeling.choice import AUDIT
from components.import_labels.rule import LABELLED
from components.intervals import Interval, share_interval
from components.lake import Lake
from components.lake.tables import CLASSES, LABELING_REQUESTS, LABELS


@dataclass(frozen=True)
class Audits:
    """Images that were sent for audit.

    Attributes:
        sent: How many.
        answered: Of those, the ones that have a label by now. Those that people skipped or see differently have none.
        right: Of those answered, the ones that the model had classified as people do.
    """

    sent: int = 0
    answered: int = 0
    right: int = 0

    def __add__(self, other: "Audits") -> "Audits":
        return Audits(self.sent + other.sent, self.answered + other.answered, self.right + other.right)

    @property
    def accuracy(self) -> float | None:
        """The part of those answered that the model had right, 0..1; None if none is."""
        return self.right / self.answered if self.answered else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % confidence interval of the accuracy; None if there is none."""
        return share_interval(self.right, self.answered) if self.answered else None


@dataclass(frozen=True)
class FieldAccuracy:
    """How models do in use.

    Attributes:
        by_week: Audits by the model version that had classified them, and the Monday of the week they were sent in.
    """

    by_week: Mapping[tuple[str, date], Audits] = field(default_factory=dict)

    def versions(self) -> list[str]:
        """Return the model versions that there are audits of, oldest first."""
        return sorted({version for version, _ in self.by_week}, key=_age)

    def of_version(self, version: str) -> Audits:
        """Return all audits of a model version."""
        return _sum(audits for (each, _), audits in self.by_week.items() if each == version)

    def weeks(self, version: str) -> list[tuple[date, Audits]]:
        """Return the weeks of a model version, oldest first."""
        return sorted((week, audits) for (each, week), audits in self.by_week.items() if each == version)


def read_field_accuracy(lake: Lake) -> FieldAccuracy:
    """Count the audits of a lake. It reads the requests and the labels, no image and no prediction."""
    replaced = F.broadcast(
        lake.read(CLASSES).where("replaced_by IS NOT NULL").select(F.col("label").alias("_old"), "replaced_by")
    )
    requests = (
        lake.read(LABELING_REQUESTS)
        .where(F.col("reason") == AUDIT)
        .join(replaced, F.col("predicted_label") == F.col("_old"), "left")
        .select(
            "path",
            "model_version",
            F.date_trunc("week", "requested_at").cast("date").alias("week"),
            (F.col("outcome") == LABELLED).alias("labelled"),
            F.coalesce("replaced_by", "predicted_label").alias("predicted"),
        )
    )
    labels = (
        lake.read(LABELS)
        .join(replaced, F.col("label") == F.col("_old"), "left")
        .select("path", F.coalesce("replaced_by", "label").alias("said"))
    )
    rows = (
        requests.join(labels, "path", "left")
        .groupBy("model_version", "week")
        .agg(
            F.count("*").alias("sent"),
            F.count_if(F.col("labelled") & F.col("said").isNotNull()).alias("answered"),
            F.count_if(F.col("labelled") & (F.col("said") == F.col("predicted"))).alias("right"),
        )
        .collect()
    )
    return FieldAccuracy(
        {(row["model_version"], row["week"]): Audits(row["sent"], row["answered"], row["right"]) for row in rows}
    )


def _sum(audits: Iterable[Audits]) -> Audits:
    return sum(audits, Audits())


def _age(version: str) -> tuple[int, str]:
    # MLflow numbers versions: 10 comes after 9.
    return (int(version) if version.isdecimal() else 0, version)
