"""Test how names of classes compare, and which numbers are free."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.lake.class_names import ClassIndex, class_key, free_labels
from components.lake.classes import ClassRow
from components.lake.tables import FOLDER, FOLDER_LABELS_END, NO_CLASS

FIRST = FOLDER_LABELS_END


@pytest.mark.parametrize("name", ["ZÈBRE", "ze\u0300bre", "zèbre  ", "Ze\u0300BRE\t"])
def test_composed_letters_case_and_trailing_blanks_make_no_difference(name: str) -> None:
    assert class_key(name) == class_key("zèbre")
    assert class_key("Straße") == class_key("STRASSE")
    assert class_key(" zèbre") != class_key("zèbre")


@given(st.text())
def test_key_of_a_name_is_idempotent_and_independent_of_its_spelling(name: str) -> None:
    assert class_key(class_key(name)) == class_key(name)
    assert {class_key(unicodedata.normalize(form, name)) for form in ("NFC", "NFD")} == {class_key(name)}


def test_free_labels_leave_out_taken_ones() -> None:
    free = free_labels({FIRST, FIRST + 2, 5})

    assert [next(free), next(free)] == [FIRST + 1, FIRST + 3]


def index_of(*classes: tuple[int, str | None, int | None]) -> ClassIndex:
    return ClassIndex(ClassRow(*each, FOLDER) for each in classes)


def test_index_finds_classes_by_any_spelling_and_follows_merges() -> None:
    index = index_of((5, "Cat ", 3), (3, "cat", 1), (1, None, None), (8, "dog", 9), (9, "wolf", 8))

    assert index.labels("CAT") == [3, 5]
    assert index.labels("bird") == []
    assert [index.effective(label) for label in (5, 3, 1, 7)] == [1, 1, 1, 7]
    # A circle ends.
    assert index.effective(8) in (8, 9)


def test_a_class_is_retired_if_what_it_was_merged_into_is() -> None:
    index = index_of((1, "a", NO_CLASS), (2, "b", 1), (3, "c", 4), (4, "d", None))

    assert [index.is_retired(label) for label in (1, 2, 3, 4)] == [True, True, False, False]
