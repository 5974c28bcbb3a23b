"""Count the members of the largest classes by the month in which they arrived."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

# A chart has six colors, one of which is for the other classes.
_CLASSES = 5


@dataclass(frozen=True)
class Arrivals:
    """Members by month of arrival.

    Attributes:
        labels: Ids of the largest classes, largest first.
        images: Number of images by month (`2026-05`) and class id; None stands for all other classes.
    """

    labels: tuple[int, ...]
    images: dict[str, dict[int | None, int]]

    def series(self, label: int | None) -> list[int]:
        """Return the images of a class in each month of `months`."""
        return [self.images.get(month, {}).get(label, 0) for month in self.months]

    @property
    def months(self) -> list[str]:
        """All months from the first arrival to the last one, also those without an arrival."""
        first, last = (_number(month(self.images)) for month in (min, max)) if self.images else (0, -1)
        return [f"{number // 12:04}-{number % 12 + 1:02}" for number in range(first, last + 1)]


def count_arrivals(members: DataFrame, totals: Mapping[int, int]) -> Arrivals:
    """Count the members by month and class, in the months of their `load_date`.

    Args:
        members: Frame of load_date and label.
        totals: Number of members by class id.
    """
    labels = tuple(sorted(totals, key=lambda label: (-totals[label], label))[:_CLASSES])
    month = F.date_format("load_date", "yyyy-MM").alias("month")
    # The other classes are one, so that the driver gets a few rows for each month.
    label = F.when(F.col("label").isin(*labels), F.col("label")).alias("label")
    images: dict[str, dict[int | None, int]] = {}
    for row in members.groupBy(month, label).count().collect():
        images.setdefault(row["month"], {})[row["label"]] = row["count"]
    return Arrivals(labels, images)


def _number(month: str) -> int:
    """Return the number of a month since January of the year 0."""
    year, _, of_year = month.partition("-")
    return 12 * int(year) + int(of_year) - 1
