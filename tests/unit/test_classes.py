"""Merges of classes are followed to their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.lake.classes import follow_merges
from components.lake.tables import NO_CLASS


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), min_size=12, max_size=12), st.integers(0, 12))
def test_each_class_counts_as_the_end_of_its_chain(order: list[int], into: list[int], retired: int) -> None:
    # A class is merged into one of a lower number or not at all, so there is no circle.
    replaced_by = {label: into[label] for label in order if into[label] < label}
    if retired < 12:
        replaced_by[retired] = NO_CLASS

    ends = follow_merges(replaced_by)

    assert ends.keys() == replaced_by.keys()
    for label, following in replaced_by.items():
        expected = None if following == NO_CLASS else ends.get(following, following)
        assert ends[label] == expected


@pytest.mark.parametrize("circle", [{1: 1}, {1: 2, 2: 1}, {0: 1, 1: 2, 2: 3, 3: 1}, {4: NO_CLASS, 5: 6, 6: 5}])
def test_a_circle_is_refused(circle: dict[int, int]) -> None:
    with pytest.raises(
        InputError, match=r"^classes: class \d is merged in a circle\. Run `image-pipelines classes res"
    ):
        follow_merges(circle)
