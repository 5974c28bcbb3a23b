"""Test the numbers that classes of folders get, and what is not merged."""

from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.labels.folders import FolderClass
from components.ingest_images.labels.numbers import Numbering, number_classes
from components.lake.class_names import ClassIndex, class_key
from components.lake.classes import ClassRow
from components.lake.tables import FOLDER, FOLDER_LABELS_END

FIRST = FOLDER_LABELS_END
names = st.sampled_from(["cat", "Cat ", "dog", "zèbre", "ze\u0300bre", "7"])
numbers = st.none() | st.integers(1, 3)
found_classes = st.sets(st.builds(FolderClass, names, numbers), max_size=8)
rows_of_lakes = st.dictionaries(
    st.integers(1, 3) | st.integers(FIRST, FIRST + 2),
    st.tuples(st.none() | names, st.none() | st.integers(1, 3)),
    max_size=4,
)
# A class is merged into one that exists.
lakes = rows_of_lakes.filter(lambda rows: {merged for _, merged in rows.values()} <= {None, *rows})


def index(classes: dict[int, tuple[str | None, int | None]]) -> ClassIndex:
    return ClassIndex(ClassRow(label, name, replaced_by, FOLDER) for label, (name, replaced_by) in classes.items())


def number(*found: FolderClass, lake: dict[int, tuple[str | None, int | None]] | None = None) -> Numbering:
    return number_classes(found, index(lake or {}))


def test_named_folders_get_numbers_that_no_folder_can_have() -> None:
    numbering = number(FolderClass("dog"), FolderClass("cat"), FolderClass("Cat "), FolderClass("ak47", 1))

    assert numbering.new == {1: "ak47", FIRST: "Cat ", FIRST + 1: "dog"}
    assert numbering.labels[FolderClass("cat")] == numbering.labels[FolderClass("Cat ")] == FIRST


def test_named_folder_is_the_class_of_the_lake_with_this_name() -> None:
    numbering = number(FolderClass("ZEBRA"), lake={7: ("zebra", None), FIRST: ("dog", None)})

    assert (numbering.labels, numbering.new) == ({FolderClass("ZEBRA"): 7}, {})


def test_number_with_two_names_keeps_the_first_and_the_other_gets_no_label() -> None:
    cat, dog = FolderClass("cat", 1), FolderClass("dog", 1)

    together = number(dog, cat)
    later = number(cat, lake={1: ("dog", None)})

    assert (together.labels, together.new) == ({cat: 1}, {1: "cat"})
    assert together.refused == {dog: "class 1 has the name 'cat', not 'dog'"}
    assert later.refused == {cat: "class 1 has the name 'dog', not 'cat'"}


def test_name_with_two_numbers_stays_two_classes_and_is_reported() -> None:
    one, two, named = FolderClass("cat", 1), FolderClass("Cat", 2), FolderClass("CAT")

    numbering = number(one, two, named)

    assert (numbering.labels, numbering.new) == ({one: 1, two: 2}, {1: "cat", 2: "Cat"})
    assert numbering.several_numbers == {"cat": [1, 2], "Cat": [1, 2]}
    assert numbering.refused == {named: "the classes 1, 2 have the name 'CAT'"}


def test_classes_that_were_merged_are_one() -> None:
    lake: dict[int, tuple[str | None, int | None]] = {
        1: ("cat", None),
        2: ("cat", 1),
        3: ("kitten", 2),
        FIRST: ("old name", 1),
    }
    found = FolderClass("cat"), FolderClass("kitten"), FolderClass("cat", 2), FolderClass("old name", 1)

    numbering = number(*found, lake=lake)

    assert numbering.labels == dict(zip(found, (1, 3, 2, 1), strict=True))
    assert not numbering.refused
    assert not numbering.several_numbers


def test_number_without_a_name_contradicts_no_name() -> None:
    numbering = number(FolderClass("001", 1), FolderClass("dog", 2), lake={1: ("cat", None), 2: (None, None)})

    assert numbering.labels == {FolderClass("001", 1): 1, FolderClass("dog", 2): 2}


@given(found_classes, lakes)
def test_each_class_is_numbered_or_refused_and_a_repetition_changes_nothing(
    found: set[FolderClass], lake: dict[int, tuple[str | None, int | None]]
) -> None:
    first = number_classes(found, index(lake))
    again = number_classes(found, index(lake | {label: (name, None) for label, name in first.new.items()}))

    assert first.labels.keys() | first.refused.keys() == found
    assert not first.labels.keys() & first.refused.keys()
    assert not first.new.keys() & lake.keys()
    assert (again.labels, again.refused, again.several_numbers) == (first.labels, first.refused, first.several_numbers)
    assert not again.new
    # A number has one name.
    for label, name in first.new.items():
        spellings = {class_key(each.name) for each in found if first.labels.get(each) == label and each.has_name}
        assert spellings <= {class_key(name)}
