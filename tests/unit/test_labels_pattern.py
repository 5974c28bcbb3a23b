"""Test the class that a label pattern reads from a path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest_images.labels.folders import FolderClass
from components.ingest_images.labels.pattern import NO_MATCH, LabelPattern
from components.ingest_images.labels.reader import dump_labels, load_labels


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        (r"(?P<label>\d+)-(?P<name>[^/]*)/", "12-dog/1.jpg", FolderClass("dog", 12)),
        (r"class(?P<label>\d+)/", "my class7/1.jpg", FolderClass("7", 7)),
        (r"^(?P<name>[^/]+)/", "cats/deep/1.jpg", FolderClass("cats")),
        (r"(?P<name>[^/]+)/[^/]*$", "deep/cats /1.jpg", FolderClass("cats")),
        # File names can name classes, too.
        (r"(?P<name>[a-z]+)_\d+\.", "any/zebra_0001.jpg", FolderClass("zebra")),
        (r"(x)?(?P<name>cat|dog)", "1/dog.jpg", FolderClass("dog")),
        (r"^(?P<name>[^/]+)/", "1.jpg", NO_MATCH),
        (r"^(?P<name> *)/", "  /1.jpg", NO_MATCH),
        # The group did not match, or its text is not a number.
        (r"^(?P<label>\d+)?x", "xyz/1.jpg", NO_MATCH),
        (r"^(?P<label>\w+)\.(?P<name>.*)/", "dog.jpgs/1.jpg", NO_MATCH),
        (r"^(?P<label>.\d+)\.", "-12.minus/1.jpg", NO_MATCH),
        (r"^(?P<label>.)\.", "².superscript/1.jpg", NO_MATCH),
        # The largest label of a folder, and larger numbers.
        (r"^(?P<label>\d+)\.(?P<name>.*)/", "999999999.most/1.jpg", FolderClass("most", 999_999_999)),
        (r"^(?P<label>\d+)\.(?P<name>.*)/", "1000000000.more/1.jpg", NO_MATCH),
        (r"^(?P<label>\d+)\.", "20260301040506.burst/1.jpg", NO_MATCH),
    ],
)
def test_pattern_reads_its_groups_from_the_path_below_the_source(
    pattern: str, path: str, expected: FolderClass | str
) -> None:
    labels = LabelPattern(pattern)

    assert labels.read(path) == expected
    assert load_labels(dump_labels(labels)) == labels


@given(st.text())
def test_reading_any_path_raises_no_error(path: str) -> None:
    found = LabelPattern(r"(?P<label>\w+)?(?P<name>.*)").read(path)

    assert isinstance(found, str) or found.number is not None
