"""The classes that answers name: each that nobody knew gets a number, and no number has two classes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.import_labels.classes import FIRST_NEW_LABEL, is_plain, new_classes
from components.import_labels.formats import Answer

names = st.sampled_from(["ak47", "flag", "zebra", "newt"])
numbers = st.integers(0, 3) | st.integers(FIRST_NEW_LABEL, FIRST_NEW_LABEL + 3)
answers = st.builds(
    Answer, path=st.just("a.jpg"), label=st.none() | numbers, name=st.just("") | names, annotator=st.sampled_from("ab")
)


@given(st.lists(answers, max_size=8), st.dictionaries(numbers, st.none() | names, max_size=3))
def test_each_class_that_nobody_knew_gets_a_number_that_no_other_has(
    said: list[Answer], known: dict[int, str | None]
) -> None:
    new = new_classes(said, known)

    assert not new.keys() & known.keys()
    assert {each.label for each in said if each.label is not None} <= new.keys() | known.keys()
    named = {each.name for each in said if each.label is None and each.name}
    assert named <= {*known.values(), *new.values()}
    numbered = {each.label for each in said}
    for label, name in new.items():
        if label not in numbered:
            assert label >= FIRST_NEW_LABEL
            assert name in named - {*known.values()}
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
def test_a_formula_or_markup_is_no_name_of_a_new_class(name: str, plain: bool) -> None:
    assert is_plain(name) == plain
