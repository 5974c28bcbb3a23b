"""Test that each location has one normalized URI."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.storage import uri

# Names that file systems and object stores allow.
names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
    lambda name: name not in (".", "..")
)
paths = st.lists(names, max_size=4)
slashes = st.sampled_from(["/", "//", "///", "/./"])
schemes = st.sampled_from(
    [("file:", "file:///"), ("s3a:/", "s3a://"), ("s3:/", "s3a://"), ("abfss:/", "abfss://"), ("gs:/", "gs://")]
)


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("/data/lake", "file:///data/lake"),
        ("/", "file:///"),
        ("/data/a:/b", "file:///data/a:/b"),
        ("file:/data/lake", "file:///data/lake"),
        ("file:///data//lake/", "file:///data/lake"),
        ("file:///data/./lake/.", "file:///data/lake"),
        ("file:///data/a b%20c/ü", "file:///data/a b%20c/ü"),
        ("s3a://bucket", "s3a://bucket"),
        ("gs://bucket//lake/", "gs://bucket/lake"),
        ("s3://bucket/lake/", "s3a://bucket/lake"),
        ("abfss://lake@account.dfs.core.windows.net//a", "abfss://lake@account.dfs.core.windows.net/a"),
    ],
)
def test_each_location_has_one_spelling(given_: str, expected: str) -> None:
    assert uri.normalize(given_, "lake") == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", "lake", "./lake", "~/lake", "C:\\lake", "http://host/lake", "S3A://bucket/lake"),
        *("s3a://", "abfss:///", "/a/../b", "file:///..", "s3a://bucket/../other"),
    ],
)
def test_invalid_location_is_refused_with_the_fields_name(text: str) -> None:
    with pytest.raises(InputError, match=r"^annotations_source: "):
        uri.normalize(text, "annotations_source")


@given(schemes, st.lists(st.tuples(slashes, names), min_size=1, max_size=4), st.sampled_from(["", "/", "//", "/."]))
def test_extra_slashes_are_ignored(scheme: tuple[str, str], parts: list[tuple[str, str]], end: str) -> None:
    written = scheme[0] + "".join(slash + name for slash, name in parts) + end

    assert uri.normalize(written, "lake") == scheme[1] + "/".join(name for _, name in parts)


@given(st.text() | st.from_regex(r"\A(file|s3|s3a|abfss|gs):/.*\Z"))
def test_normalizing_is_idempotent(text: str) -> None:
    try:
        normalized = uri.normalize(text, "lake")
    except InputError:
        return
    assert uri.normalize(normalized, "lake") == normalized


@given(paths)
def test_path_round_trips_through_its_uri(parts: list[str]) -> None:
    path = Path("/", *parts)

    assert uri.local_path(uri.normalize(str(path), "lake")) == path


@pytest.mark.parametrize("remote", ["s3a://bucket/file:///a", "abfss://lake@account/a", "gs://bucket/a"])
def test_remote_uri_has_no_local_path(remote: str) -> None:
    assert uri.local_path(remote) is None


@given(schemes, paths, st.lists(names, min_size=1, max_size=3))
def test_joining_leaves_a_normalized_uri(scheme: tuple[str, str], parts: list[str], below: list[str]) -> None:
    root = uri.normalize("/".join((scheme[0], "bucket", *parts)), "lake")

    joined = uri.join(root, *below)

    assert joined == uri.normalize(joined, "lake") == f"{root}/{'/'.join(below)}"


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("s3a://bucket", ("bucket", "")),
        ("gs://bucket/a/b c", ("bucket", "a/b c/")),
        (
            "abfss://lake@account.dfs.core.windows.net/landing",
            ("lake@account.dfs.core.windows.net", "landing/"),
        ),
    ],
)
def test_objects_of_a_folder_begin_with_its_name_and_a_slash(folder: str, expected: tuple[str, str]) -> None:
    assert uri.bucket_and_prefix(folder) == expected


def test_file_system_root_can_be_joined() -> None:
    assert uri.join("file:///", "images") == "file:///images"


@given(st.lists(names.map(lambda name: f"file:///{name}"), min_size=2, max_size=2, unique=True))
def test_different_locations_have_different_digests_valid_as_file_names(locations: list[str]) -> None:
    first, second = (uri.digest(location) for location in locations)

    assert first != second
    assert first == uri.digest(locations[0])
    assert len(first) == 16
    assert set(first) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file:///a/file:///b.jpg", "file:/a/file:///b.jpg"),
        ("file:/a.jpg", "file:/a.jpg"),
        ("s3a://bucket/a.jpg", "s3a://bucket/a.jpg"),
    ],
)
def test_path_column_spells_local_files_with_one_slash(text: str, expected: str) -> None:
    assert uri.column_spelling(text) == expected
