"""Orders of people about classes: what each one changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.import_labels.class_edits import Classes, Edit, LakeClass
from components.lake.classes import follow_merges
from components.lake.tables import NO_CLASS

DOG, HOUND, PUPPY, CAT = (LakeClass(1, "Dog"), LakeClass(2, "hound", 1), LakeClass(3, "puppy", 2), LakeClass(4, "cat"))
OLD, FLAG, FLAGS = LakeClass(5, "old", NO_CLASS), LakeClass(6, "flag"), LakeClass(7, "Flag ")
CLASSES = Classes([DOG, HOUND, PUPPY, CAT, OLD, FLAG, FLAGS])


def test_class_is_found_by_id_and_by_name() -> None:
    assert [CLASSES.find(text) for text in ("2", "HOUND", " dog ", "old")] == [HOUND, HOUND, DOG, OLD]
    assert Classes([LakeClass(1, "e\u0301"), LakeClass(2, "e")]).find("\u00c9").label == 1
    # The class that counts is meant.
    assert Classes([LakeClass(1, "a", 2), LakeClass(2, "a")]).find("a").label == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("houd", "class: the lake has no class 'houd'. Did you mean 'hound' (2)?"),
        ("xyz", "class: the lake has no class 'xyz'. `image-pipelines classes list` shows all."),
        ("99", "class: the lake has no class '99'. `image-pipelines classes list` shows all."),
        ("flag", "class: 'flag' is the name of 2 classes. Give one of the ids 6, 7."),
    ],
)
def test_unknown_and_ambiguous_classes_are_refused(text: str, sentence: str) -> None:
    for order in (CLASSES.find, lambda text: CLASSES.merge([text], "cat"), lambda text: CLASSES.retire([text])):
        with pytest.raises(InputError) as error:
            order(text)

        assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("edit", "changed", "sentence"),
    [
        (CLASSES.merge(["cat", "6"], "Dog"), {4: 1, 6: 1}, "Merged into 'Dog' (1): 'cat' (4), 'flag' (6)."),
        (CLASSES.merge(["cat"], "puppy"), {4: 1}, "Merged into 'Dog' (1): 'cat' (4)."),
        (CLASSES.merge(["hound"], "1"), {}, "Already merged into 'Dog' (1): 'hound' (2)."),
        (CLASSES.merge(["hound"], "cat"), {2: 4}, "Merged into 'cat' (4): 'hound' (2)."),
        (CLASSES.retire(["cat"]), {4: NO_CLASS}, "Retired: 'cat' (4)."),
        (
            CLASSES.retire(["dog"]),
            {1: NO_CLASS},
            "Retired: 'Dog' (1). This includes what was merged before: 'hound' (2), 'puppy' (3).",
        ),
        (CLASSES.retire(["old"]), {}, "Already retired: 'old' (5)."),
        (CLASSES.restore(["old", "hound"]), {5: None, 2: None}, "Restored: 'old' (5), 'hound' (2)."),
        (CLASSES.restore(["dog"]), {}, "Already in use: 'Dog' (1)."),
    ],
)
def test_edit_changes_what_it_says(edit: Edit, changed: dict[int, int | None], sentence: str) -> None:
    assert {each.label: each.replaced_by for each in edit.changed} == changed
    assert edit.sentence == sentence


@pytest.mark.parametrize(
    ("names", "into", "sentence"),
    [
        (["dog"], "hound", "--into: 'hound' counts as class 'Dog' (1), which can't be merged into itself."),
        (["dog"], "dog", "--into: 'dog' counts as class 'Dog' (1), which can't be merged into itself."),
        (["cat"], "old", "--into: class 'old' (5) is retired. Run `image-pipelines classes restore 5` first."),
    ],
)
def test_merge_into_itself_or_a_retired_class_is_refused(names: list[str], into: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        CLASSES.merge(names, into)

    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "CAT",
            "name: class 4 is named 'cat' already. Choose another name, or merge the two: `image-pipelines classes",
        ),
        (" ", "name: '' is not allowed."),
        ("=1+1", "name: '=1+1' is not allowed."),
    ],
)
def test_name_of_another_class_and_formulas_are_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        CLASSES.rename("dog", name)

    assert str(error.value).startswith(sentence)
    with pytest.raises(InputError, match=r"^name: class 2 is named 'hound' already"):
        CLASSES.rename("cat", "Hound")
    with pytest.raises(InputError, match=r"^class: 'hound' \(2\) is merged into 1\. Rename another class"):
        CLASSES.rename("hound", "wolf")


def test_rename_keeps_the_old_name_as_a_merged_class() -> None:
    old = LakeClass(1_000_000_000, "Dog", 1)
    edit = CLASSES.rename("Dog", " wolf ")

    assert edit.changed == (LakeClass(1, "wolf"), old)
    assert edit.sentence == "Renamed class 'Dog' (1) to 'wolf'. The old name still means this class."
    renamed = Classes([LakeClass(1, "wolf"), old])
    assert renamed.find("dog").replaced_by == 1
    # There and back again.
    assert renamed.rename("1", "Dog").changed == (LakeClass(1, "Dog"), LakeClass(1_000_000_001, "wolf", 1))
    assert Classes([LakeClass(1, "Dog"), old]).rename("1", "wolf").changed == (LakeClass(1, "wolf"),)


def test_rename_to_another_spelling_or_the_name_of_a_merged_class_is_possible() -> None:
    assert CLASSES.rename("1", "dog").changed == (LakeClass(1, "dog"),)
    assert CLASSES.rename("1", "hound").changed[0] == LakeClass(1, "hound")
    assert CLASSES.rename("1", "Dog").changed == ()


ORDERS = st.tuples(st.sampled_from(["merge", "retire", "restore"]), st.integers(0, 5), st.integers(0, 5))


@given(st.lists(ORDERS, max_size=30))
def test_no_order_of_edits_makes_a_circle_and_each_edit_is_idempotent(orders: list[tuple[str, int, int]]) -> None:
    classes = {label: LakeClass(label, None) for label in range(6)}
    for order, label, into in orders:
        before = Classes(classes.values())
        ends = follow_merges(replacements(classes))
        try:
            edit = {
                "merge": lambda: before.merge([str(label)], str(into)),  # noqa: B023 - called at once
                "retire": lambda: before.retire([str(label)]),  # noqa: B023
                "restore": lambda: before.restore([str(label)]),  # noqa: B023
            }[order]()
        except InputError:
            continue
        classes |= {each.label: each for each in edit.changed}

        after = follow_merges(replacements(classes))
        moved = {each for each in classes if ends.get(each, each) != after.get(each, each)}
        assert moved <= Classes(classes.values()).replaced_through([label])
        if order == "retire":
            assert not Classes(classes.values()).retire([str(label)]).changed


def replacements(classes: dict[int, LakeClass]) -> dict[int, int]:
    return {label: each.replaced_by for label, each in classes.items() if each.replaced_by is not None}
