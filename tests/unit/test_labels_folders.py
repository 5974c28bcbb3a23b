"""Test the class that the folders of an image name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.labels.folders import FolderClass, explicit_class, naming_folders
from components.ingest_images.labels.layout import Layout
from components.ingest_images.labels.reader import (
    IN_DOUBT,
    NO_FOLDER,
    OTHER_DEPTH,
    FolderLabels,
    dump_labels,
    load_labels,
)

folder_names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=10)
paths = st.lists(folder_names, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # Caltech-256: a number and a name.
        ("001.ak47/001_0001.jpg", FolderClass("ak47", 1)),
        ("256_ObjectCategories/256.toad/x.jpg", FolderClass("toad", 256)),
        ("001.ak47/002.flag/x.jpg", FolderClass("flag", 2)),
        ("001.ak47/deep/er/x.jpg", FolderClass("ak47", 1)),
        ("cats/001.ak47/x.jpg", FolderClass("ak47", 1)),
        ("001.a.b ü /x.jpg", FolderClass("a.b ü", 1)),
        ("001./x.jpg", FolderClass("001", 1)),
        # ImageNet: a WordNet id.
        ("n01440764/x.JPEG", FolderClass("n01440764")),
        ("ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_1.JPEG", FolderClass("n01440764")),
        # ImageFolder: a name, with and without a split.
        ("cats/1.jpg", FolderClass("cats")),
        ("train/cats/1.jpg", FolderClass("cats")),
        ("Validation/cats/1.jpg", FolderClass("cats")),
        ("dataset/images/test/cats/1.jpg", FolderClass("cats")),
        ("train/7/1.png", FolderClass("7")),
        ("cats/close-up/1.jpg", FolderClass("cats")),
        ("cats /1.jpg", FolderClass("cats")),
        # Dates above and below.
        ("2026/11/29/cats/1.jpg", FolderClass("cats")),
        ("year=2026/month=11/cats/1.jpg", FolderClass("cats")),
        ("cats/2026-11-29/1.jpg", FolderClass("cats")),
        ("2023-holiday/x.jpg", FolderClass("2023-holiday")),
        # Neither.
        ("1.jpg", NO_FOLDER),
        ("003.jpg", NO_FOLDER),
        ("2026/11/29/1.jpg", NO_FOLDER),
        ("train/1.jpg", NO_FOLDER),
        ("DCIM/100APPLE/IMG_0001.JPG", NO_FOLDER),
        ("dcim/101_PANA/P1.JPG", NO_FOLDER),
        ("DCIM/Camera/1.jpg", NO_FOLDER),
        ("cats/DCIM/100APPLE/1.jpg", FolderClass("cats")),
        ("//1.jpg", NO_FOLDER),
        ("", NO_FOLDER),
    ],
)
def test_class_is_the_nearest_numbered_folder_or_the_topmost_named_one(path: str, expected: FolderClass | str) -> None:
    assert FolderLabels().read(path) == expected


@pytest.mark.parametrize(
    "folder", ["01.two", "0001.four", "a001.letter", "001-dash", "n1234567", "n123456789", "²01.x"]
)
def test_similar_names_are_no_numbered_folders(folder: str) -> None:
    assert explicit_class(f"{folder}/x.jpg") is None
    assert FolderLabels().read(f"{folder}/x.jpg") == FolderClass(folder)


@given(st.integers(0, 999), folder_names.filter(str.rstrip), folder_names)
def test_every_numbered_folder_is_its_class(number: int, name: str, file: str) -> None:
    assert FolderLabels(in_doubt=True).read(f"any/{number:03}.{name}/{file}") == FolderClass(name.rstrip(), number)


@given(paths, st.booleans())
def test_reading_any_path_raises_no_error(path: str, in_doubt: bool) -> None:
    found = FolderLabels(in_doubt=in_doubt).read(path)

    assert isinstance(found, str) or found.name
    assert set(naming_folders(path)) <= {folder.rstrip() for folder in path.split("/")}


def test_source_in_doubt_has_classes_by_numbered_folders_only() -> None:
    labels = FolderLabels(in_doubt=True)

    assert labels.read("cats/1.jpg") == IN_DOUBT
    assert labels.read("cats/007.zebra/1.jpg") == FolderClass("zebra", 7)


def test_folder_at_another_depth_than_the_classes_names_none() -> None:
    labels = FolderLabels(depth=1)

    assert labels.read("2026/11/29/cats/1.jpg") == FolderClass("cats")
    assert labels.read("farm/cats/1.jpg") == OTHER_DEPTH


@pytest.mark.parametrize("labels", [None, FolderLabels(), FolderLabels(2, in_doubt=True)])
def test_labels_are_read_as_they_were_written(labels: FolderLabels | None) -> None:
    assert load_labels(dump_labels(labels)) == labels


@pytest.mark.parametrize(
    ("names", "doubt"),
    [
        (["cats/1", "cats/2", "dogs/1", "dogs/2"], ""),
        (["cats/1", "cats/2", "dogs/1"], ""),
        (["train/cats/1", "val/Cats/1", "2026/11/29/dogs/1"], ""),
        (["cats/1", "cats/2", "1", "train/1", "2026/11/29/1"], ""),
        (["a/1", "b/1", "b/2", "c/1"], "most of its folders have one image (2 of 3)"),
        (["cats/1", "cats/2", "farm/cats/3"], "its files lie at different depths"),
        (["001.ak47/1", "001.ak47/deep/2", "002.flag/1", "n01440764/1"], ""),
        (["1", "2"], ""),
        ([], ""),
    ],
)
def test_folders_are_in_doubt_if_depths_differ_or_most_have_one_image(names: list[str], doubt: str) -> None:
    layout = Layout()
    for name in names:
        layout.add(name)

    assert layout.doubt == doubt


@given(st.lists(paths.map("{}/1.jpg".format), max_size=12), st.randoms())
def test_doubt_does_not_depend_on_the_order_of_the_files(names: list[str], random: "object") -> None:
    layouts = Layout(), Layout()
    shuffled = sorted(names, key=lambda _: random.random())  # type: ignore[attr-defined]
    for layout, each in zip(layouts, (names, shuffled), strict=True):
        for name in each:
            layout.add(name)

    assert layouts[0].doubt == layouts[1].doubt


def test_memory_of_a_survey_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.ingest_images.labels.layout._MAXIMUM_FOLDERS", 3)
    layout = Layout()
    for number in range(5):
        layout.add(f"folder {number}/1.jpg")

    assert layout.is_final
    assert layout.doubt == "most of its folders have one image (3 of 3)"
