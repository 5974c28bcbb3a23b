"""Merges of classes, followed to their end: the class that counts for each class id."""

from collections.abc import Mapping

from pyspark.sql import DataFrame

from components.errors import InputError
from components.lake.tables import NO_CLASS


def read_merges(classes: DataFrame) -> dict[int, int | None]:
    """Return the class that counts for each class that was merged or retired; None for a retired one.

    Args:
        classes: Rows of `classes`. There are as many as classes, not as images, so the driver reads them.

    Raises:
        InputError: Classes were merged in a circle, which only a write outside of the commands can do.
    """
    rows = classes.where("replaced_by IS NOT NULL").select("label", "replaced_by").collect()
    return follow_merges({row["label"]: row["replaced_by"] for row in rows})


def follow_merges(replaced_by: Mapping[int, int]) -> dict[int, int | None]:
    """Follow each merge to its end.

    Args:
        replaced_by: The class that each merged class was merged into, or `NO_CLASS`.

    Returns:
        The class that counts for each merged class; None if it was retired.

    Raises:
        InputError: Classes were merged in a circle.
    """
    ends: dict[int, int | None] = {}
    for label, end in replaced_by.items():
        seen = {label}
        while end in replaced_by:
            if end in seen:
                raise InputError(
                    f"classes: class {end} is merged in a circle. Run `image-pipelines classes restore {end}`, then"
                    " merge again."
                )
            seen.add(end)
            end = replaced_by[end]
        ends[label] = None if end == NO_CLASS else end
    return ends
