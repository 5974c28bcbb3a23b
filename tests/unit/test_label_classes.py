"""Tests of the classes that annotations name: a new class gets a class id that no other class has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.classes import FIRST_NEW_LABEL, find_new_classes, is_plain_text
from components.labeling.formats import Annotation

names = st.sampled_from(["ak47", "flag", "zebra", "newt"])
numbers = st.integers(0, 3) | st.integers(FIRST_NEW_LABEL, FIRST_NEW_LABEL + 3)
annotations = st.builds(
    Annotation,
    path=st.just("a.jpg"),
    label=st.none() | numbers,
    name=st.just("") | names,
    annotator=st.sampled_from("ab"),
)


@given(st.lists(annotations, max_size=8), st.dictionaries(numbers, st.none() | names, max_size=3))
def test_new_classes_get_unique_numbers(given_annotations: list[Annotation], existing: dict[int, str | None]) -> None:
    new = find_new_classes(given_annotations, existing)

    assert not new.keys() & existing.keys()
    assert {
        annotation.label for annotation in given_annotations if annotation.label is not None
    } <= new.keys() | existing.keys()
    named = {annotation.name for annotation in given_annotations if annotation.label is None and annotation.name}
    assert named <= {*existing.values(), *new.values()}
    numbered = {annotation.label for annotation in given_annotations}
    for label, name in new.items():
        if label not in numbered:
            assert label >= FIRST_NEW_LABEL
            assert name in named - {*existing.values()}
            assert [*new.values()].count(name) == 1


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("zebra", True),
        ("Käfer, < 5 mm & mehr", True),
        ("t-shirt = shirt", True),
        ("x" * 200, True),
        ("x" * 201, False),
        ('=HYPERLINK("http://example.org","cat")', False),
        ("+1", False),
        ("-1", False),
        ("@SUM(1)", False),
        ("cat<script>", False),
        ("two\nlines", False),
        ("a tab\t", False),
    ],
)
def test_formula_or_markup_is_refused_as_a_class_name(name: str, plain: bool) -> None:
    assert is_plain_text(name) == plain
