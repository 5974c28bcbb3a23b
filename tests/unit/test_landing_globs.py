"""Globs, as Hadoop matches them: that is what Spark's file source asks."""

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.ingest_images.landing import any_case, escape_glob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Matches = Callable[[str, str], bool]

# Few letters, so that a name has a chance to match a pattern.
names = st.text("aAbB1._ -", max_size=6)
wildcards = st.sampled_from(["*", "?"])
classes = st.sampled_from(["[ab]", "[a-b]", "[1_]", "[!a]", "[^B1]"])
# Neither classes nor escapes, whose letters stay as they are.
plain_globs = st.lists(st.text("aAbB1._ -", min_size=1, max_size=2) | wildcards, max_size=5).map("".join)
globs = st.lists(st.text("aAbB1._ -", min_size=1, max_size=2) | wildcards | classes, max_size=5).map("".join)
paths = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")) | st.sampled_from("\\*?[]{},^!-/"))

against_hadoop = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def matches(spark: "SparkSession") -> Matches:
    """Tell whether Hadoop finds a name by a glob."""
    pattern = spark._jvm.org.apache.hadoop.fs.GlobPattern
    return lambda glob, name: bool(pattern(glob).matches(name))


@pytest.mark.parametrize(
    ("glob", "found", "not_found"),
    [
        ("*.jpg", ["a.jpg", "A.JPG", "ü.Jpg", ".jpg"], ["a.jpeg", "a.jpg.txt", "jpg"]),
        ("*.{jpg,jpeg,png}", ["a.JPG", "a.jpeg", "a.Png"], ["a.gif"]),
        ("IMG_????.jp*g", ["img_0001.jpg", "Img_0001.JPEG"], ["img_01.jpg"]),
        ("[0-9]*.jpg", ["7.JPG"], ["a.jpg"]),
        ("[ab].jpg", ["a.JPG"], ["c.jpg"]),
        (r"\*.jpg", ["*.JPG"], ["a.jpg"]),
        ("*", ["a", "A.JPG", ""], []),
    ],
)
def test_a_glob_finds_names_in_upper_and_lower_case(
    glob: str, found: list[str], not_found: list[str], matches: Matches
) -> None:
    assert [name for name in [*found, *not_found] if matches(any_case(glob), name)] == found


@against_hadoop
@given(plain_globs, names)
@example("*.jpg", "A.JPG")
def test_case_is_all_that_does_not_count(matches: Matches, glob: str, name: str) -> None:
    assert matches(any_case(glob), name) == fnmatch.fnmatchcase(name.lower(), glob.lower())


@against_hadoop
@given(globs, names)
def test_what_a_glob_finds_it_still_finds(matches: Matches, glob: str, name: str) -> None:
    assert matches(any_case(glob), name) >= matches(glob, name)


@against_hadoop
@given(paths, paths)
@example("a[1]", "a1")
@example("{a,b}", "a")
@example("*", "a")
@example("\\a", "a")
def test_an_escaped_path_finds_itself_only(matches: Matches, path: str, other: str) -> None:
    assert matches(escape_glob(path), path)
    assert matches(escape_glob(path), other) == (other == path)
