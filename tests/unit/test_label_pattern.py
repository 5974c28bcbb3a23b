"""Test the class that a label pattern reads from a folder name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.ingest_images.labels import LabelPattern

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("file:/landing/001.ak47/001_0001.jpg", (1, "ak47")),
        ("s3a://bucket/256.toad/x.jpg", (256, "toad")),
        # Only the image's own folder counts, not a parent folder or the file name.
        ("file:/landing/001.ak47/002.flag/x.jpg", (2, "flag")),
        ("file:/landing/001.ak47/deep/x.jpg", None),
        ("file:/landing/003.jpg", None),
        ("file:/001.jpg", None),
        ("file:/landing/2023-holiday/x.jpg", None),
        ("file:/landing/2023.holiday/x.jpg", None),
        ("file:/landing/01.two digits/x.jpg", None),
        ("file:/landing/a001.letter/x.jpg", None),
        # Without a name, the number is the name.
        ("file:/landing/001./x.jpg", (1, "001")),
        ("file:/landing/001.a.b ü/x.jpg", (1, "a.b ü")),
        ("x.jpg", None),
        ("", None),
    ],
)
def test_default_pattern_matches_three_digits_and_a_dot(path: str, expected: tuple[int, str] | None) -> None:
    assert LabelPattern().read(path) == expected


@pytest.mark.parametrize(
    ("pattern", "folder", "expected"),
    [
        (r"^(\d+)-", "12-dog", (12, "dog")),
        (r"class(\d+)$", "my class7", (7, "7")),
        # The group did not match, or its text is not a number.
        (r"^(\d+)?x", "xyz", None),
        (r"^(\w+)\.", "dog.jpgs", None),
        (r"^(\d?)\.", ".hidden", None),
        (r"^(.\d+)\.", "-12.minus", None),
        (r"^(.)\.", "².superscript", None),
        # The largest label of a folder, and larger numbers.
        (r"^(\d+)\.", "999999999.most", (999_999_999, "most")),
        (r"^(\d+)\.", "1000000000.more", None),
        (r"^(\d+)\.", "20260301040506.burst", None),
    ],
)
def test_custom_pattern_reads_its_group_as_a_number(
    pattern: str, folder: str, expected: tuple[int, str] | None
) -> None:
    assert LabelPattern(pattern).read(f"file:/landing/{folder}/x.jpg") == expected


@pytest.mark.parametrize("pattern", ["", r"^\d{3}\.", r"^(\d)(\d)\.", r"^(?:\d{3})\."])
def test_pattern_without_exactly_one_group_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"^label_pattern: .* Put parentheses around the class id, once\.$"):
        LabelPattern(pattern)


@pytest.mark.parametrize("pattern", ["(", "[", "*(a)", r"(?P<n>\d"])
def test_invalid_regular_expression_is_refused(pattern: str) -> None:
    with pytest.raises(InputError, match=r"^label_pattern: .* is not a regular expression"):
        LabelPattern(pattern)


@given(st.integers(0, 999), names.filter(bool), names)
def test_every_class_folder_name_round_trips(label: int, name: str, file: str) -> None:
    assert LabelPattern().read(f"s3a://bucket/any/{label:03}.{name}/{file}") == (label, name)


@given(st.text())
def test_reading_any_path_raises_no_error(path: str) -> None:
    found = LabelPattern().read(path)

    assert found is None or (0 <= found[0] <= 999 and found[1] != "")
