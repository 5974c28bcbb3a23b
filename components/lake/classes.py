"""The classes of a lake, and merges followed to their end: the class that counts for each class id."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from components.errors import InputError
from components.lake.tables import NO_CLASS


class ClassRow(NamedTuple):
    """A row of `classes`.

    Attributes:
        label: Class id.
        name: Name; None if people gave only the id.
        replaced_by: Class that it was merged into; `NO_CLASS` if it was retired, None otherwise.
        source: Who named it first: `folder` or `people`.
    """

    label: int
    name: str | None
    replaced_by: int | None
    source: str


@dataclass(frozen=True)
class LakeClasses:
    """The classes of a lake.

    Attributes:
        rows: The rows of `classes`. There are as many as classes, not as images, so the driver holds them.
    """

    rows: tuple[ClassRow, ...]

    @cached_property
    def names(self) -> dict[int, str]:
        """Names by class id, of the classes that have one."""
        return {row.label: row.name for row in self.rows if row.name}

    @cached_property
    def merges(self) -> dict[int, int | None]:
        """The class that counts for each class that was merged or retired; None for a retired one.

        Raises:
            InputError: Classes were merged in a circle, which only a write outside of the commands can do.
        """
        return follow_merges({row.label: row.replaced_by for row in self.rows if row.replaced_by is not None})


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
