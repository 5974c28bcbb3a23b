"""Folders that overlap, although this would mix their files."""

from collections.abc import Iterator
from itertools import combinations

from components.errors import InputError
from components.storage.overlaps import check_overlaps_of
from pipelines.doctor.context import Context, Place
from pipelines.doctor.finding import Finding, of_exception, ok


def check_folders(context: Context) -> Iterator[Finding]:
    """Yield a finding for each pair of folders that overlap."""
    pairs = 0
    for first, second in combinations(context.places, 2):
        if first.kind == second.kind:
            continue
        pairs += 1
        try:
            check_overlaps_of({first.kind: first.field}, {first.kind: first.address, second.kind: second.address})
        except InputError as exception:
            yield of_exception(exception)
    yield ok(f"{pairs} pairs of folders were compared: {_named(context.places)}.")


def _named(places: tuple[Place, ...]) -> str:
    return ", ".join(place.field for place in places) or "no folder is set"
