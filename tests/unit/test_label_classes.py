"""Tests of the classes that annotations name: each is recognized, reported as new, or rejected."""

import unicodedata
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.classes import (
    find_contradictions,
    find_labels,
    find_new_classes,
    has_name,
    is_new,
    is_plain_text,
    key,
    reject_class,
)
from components.labeling.formats import Annotation
from components.lake.class_names import ClassIndex
from components.lake.classes import ClassRow
from components.lake.tables import FOLDER, FOLDER_LABELS_END

names = st.sampled_from(["ak47", "flag", "Flag", "zebra", "newt", "Käfer", "Ka\u0308fer"])
numbers = st.integers(0, 3) | st.integers(FOLDER_LABELS_END, FOLDER_LABELS_END + 3)
annotations = st.builds(
    Annotation,
    path=st.just("a.jpg"),
    label=st.none() | numbers,
    name=st.just("") | names,
    annotator=st.sampled_from("ab"),
)


def lake_of(names_by_label: Mapping[int, str | None], replaced_by: Mapping[int, int] | None = None) -> ClassIndex:
    return ClassIndex(
        ClassRow(label, name, (replaced_by or {}).get(label), FOLDER) for label, name in names_by_label.items()
    )


LAKE = lake_of({0: "kite", 1: "ak47", 2: "flag", 3: "flag", 4: None, 5: "Käfer"})


def given_class(label: int | None = None, name: str = "") -> Annotation:
    return Annotation(path="a.jpg", label=label, name=name)


@given(st.lists(annotations, max_size=8), st.dictionaries(numbers, st.none() | names, max_size=3))
def test_new_classes_get_unique_numbers_and_one_name(
    given_annotations: list[Annotation], names_by_label: dict[int, str | None]
) -> None:
    existing = lake_of(names_by_label)
    contradicting = find_contradictions(given_annotations, existing)
    accepted = [
        annotation
        for annotation in given_annotations
        if not reject_class(annotation, existing)
        and not (is_new(annotation, existing) and key(annotation) in contradicting)
    ]

    new = find_new_classes(accepted, existing)
    after = lake_of({**existing.names, **new})

    assert not new.keys() & existing.names.keys()
    assert {annotation.label for annotation in accepted if annotation.label is not None} <= after.names.keys()
    numbered = {annotation.label for annotation in accepted}
    assert all(label in numbered or label >= FOLDER_LABELS_END for label in new)
    # Each annotation means one class, whose name is the annotation's.
    for annotation in accepted:
        if annotation.label is not None:
            assert has_name(annotation.label, annotation.name, after) or not annotation.name
        elif annotation.name:
            (label,) = find_labels(annotation.name, after)
            assert has_name(label, annotation.name, after)


@pytest.mark.parametrize(
    ("label", "name", "reason"),
    [
        (0, "ak47", "label: 0 is the class 'kite', not 'ak47'. Correct one of them."),
        (0, "zebra", "label: 0 is the class 'kite', not 'zebra'. Correct one of them."),
        (9, "ak47", "label: 9 is unknown, but 'ak47' is the class 1. Correct one of them."),
        (None, "flag", "name: 2 classes have the name 'flag'. Give the class id as label."),
        (None, "cat,dog", "name: 'cat,dog' names several classes."),
        (None, "cat; dog", "name: 'cat; dog' names several classes."),
        (None, "cat|dog|", "name: 'cat|dog|' names several classes."),
        (None, "<b>newt</b>", "name: '<b>newt</b>' is not allowed for a new class."),
        (9, "=1+1", "name: '=1+1' is not allowed for a new class."),
        (0, "kite", ""),
        (0, "KITE", ""),
        (2, "flag", ""),
        (4, "anything", ""),
        (5, "Ka\u0308fer", ""),
        (9, "cat, dog", ""),
        (9, "", ""),
        (None, "newt,", ""),
        (None, "", ""),
    ],
)
def test_class_that_contradicts_its_name_or_is_not_one_is_rejected(label: int | None, name: str, reason: str) -> None:
    assert reject_class(given_class(label, name), LAKE).startswith(reason)
    assert bool(reject_class(given_class(label, name), LAKE)) == bool(reason)


@given(st.text(max_size=20).filter(str.strip))
def test_names_are_compared_in_nfc(name: str) -> None:
    existing = lake_of({1: unicodedata.normalize("NFC", name)})

    for form in ("NFC", "NFD"):
        assert find_labels(unicodedata.normalize(form, name), existing) == [1]


def test_composed_and_decomposed_names_become_one_class() -> None:
    given_annotations = [given_class(name="Molch ä"), given_class(name="Molch a\u0308"), given_class(name="molch ä")]

    assert find_new_classes(given_annotations, LAKE) == {FOLDER_LABELS_END: "Molch ä"}


def test_case_makes_a_difference_only_between_existing_classes() -> None:
    existing = lake_of({1: "Turkey", 2: "turkey", 3: "flag"})

    assert [find_labels(name, existing) for name in ("Turkey", "turkey", "TURKEY", "FLAG")] == [[1], [2], [1, 2], [3]]


def test_merged_classes_of_one_name_are_one() -> None:
    names_by_label = {1: "Käfer", 2: "Ka\u0308fer", 3: "beetle"}

    assert find_labels("Käfer", lake_of(names_by_label)) == [1, 2]
    assert find_labels("Käfer", lake_of(names_by_label, {2: 1})) == [1]
    assert find_labels("Käfer", lake_of(names_by_label, {1: 3, 2: 1})) == [1]
    assert has_name(2, "beetle", lake_of(names_by_label, {1: 3, 2: 1}))


def test_new_class_with_several_names_or_numbers_is_rejected() -> None:
    given_annotations = [
        *(given_class(500, name) for name in ("cat", "dog")),
        *(given_class(label, "newt") for label in (501, 502)),
        *(given_class(503, name) for name in ("Zebra", "zebra", "")),
        given_class(1, "ak47"),
    ]

    assert find_contradictions(given_annotations, LAKE) == {
        "cat": "label: 500 is a new class with several names: 'cat', 'dog'. Give it one.",
        "dog": "label: 500 is a new class with several names: 'cat', 'dog'. Give it one.",
        "newt": "name: the new class has several class ids: 501, 502. Give it one.",
    }


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
