"""Test the listing of a local landing folder: order, start, and what it passes over."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.errors import InputError
from components.ingest_images.discovery import sorted_runs
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.local_listing import LocalListing
from components.ingest_images.discovery.sorted_runs import sort_names

# Characters around the slash, and some beyond 16 bits, whose order differs in UTF-16.
segments = st.text(st.sampled_from("ab !-.0:%+é\u0301\uff21\U0001f600"), min_size=1, max_size=3).filter(
    lambda name: not name.startswith(".")
)
paths = st.lists(segments, min_size=1, max_size=3).map("/".join)


def listed(folder: Path, start: str = "", counts: DiscoveryCounts | None = None) -> list[str]:
    listing = LocalListing(folder, DiscoveryCounts() if counts is None else counts)
    return [file.name for file in listing.files(start)]


def make_file(path: Path, content: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@contextmanager
def folder_of(names: set[str]) -> Iterator[tuple[Path, list[str]]]:
    """Make files, and yield their folder and the names that can exist together."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for name in sorted(names):
            try:
                make_file(Path(folder, name))
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue
            made.append(name)
        yield Path(folder), made


@given(st.sets(paths, max_size=12))
@example({"a/b", "a-b", "a b", "a.b", "a0", "ab"})
def test_local_listing_has_the_order_of_sorted_keys(names: set[str]) -> None:
    with folder_of(names) as (folder, made):
        assert listed(folder) == sorted(made, key=str.encode)


@given(st.sets(paths, max_size=12), paths | st.just("a/"))
@example({"a/b", "a/c", "a-b", "b/a"}, "a/b")
def test_local_listing_starts_at_any_path(names: set[str], start: str) -> None:
    with folder_of(names) as (folder, made):
        found = listed(folder, start)

    assert [name for name in found if name != start] == sorted(name for name in made if name > start)


@given(st.lists(st.binary(max_size=3).filter(lambda name: b"\0" not in name), max_size=30))
def test_names_beyond_the_memory_bound_are_sorted_in_files(names: list[bytes]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_runs, "_RUN", 3)

        assert list(sort_names(names)) == sorted(names)


def test_unusual_names_stay_unchanged(tmp_path: Path) -> None:
    names = sorted(["a b.jpg", "a%20b.jpg", "a+b.jpg", "a:b.jpg", "e\u0301.jpg", "é.jpg", "a\nb.jpg", "日本/写真.jpg"])
    for name in names:
        make_file(tmp_path / name)

    assert listed(tmp_path) == names


def test_names_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"f\xfcr/a.jpg", b"ok.jpg"):
        path = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb"):
            pass
    counts = DiscoveryCounts()

    assert listed(tmp_path, counts=counts) == ["ok.jpg"]
    assert counts.unreadable_names == 2
    assert counts.examples == [rf"{tmp_path}/caf\xe9.jpg", rf"{tmp_path}/f\xfcr/a.jpg"]


def test_links_pipes_and_hidden_folders_are_counted_and_not_listed(tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    make_file(outside / "secret.jpg")
    make_file(source / "a.jpg")
    make_file(source / "_tmp" / "b.jpg")
    make_file(source / ".git" / "c.jpg")
    (source / "circle").symlink_to(source)
    (source / "out").symlink_to(outside)
    (source / "again.jpg").symlink_to(source / "a.jpg")
    (source / "dangling.jpg").symlink_to(tmp_path / "nothing")
    os.mkfifo(source / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(source / "s"))
        counts = DiscoveryCounts()

        assert listed(source, counts=counts) == ["a.jpg"]
    assert (counts.links, counts.special, counts.hidden) == (4, 2, 2)


def test_landing_folder_may_be_a_link(tmp_path: Path) -> None:
    make_file(tmp_path / "source" / "a.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "source")

    assert listed(tmp_path / "link") == ["a.jpg"]


def test_very_deep_folders_are_listed(tmp_path: Path) -> None:
    name = "d/" * 1100 + "a.jpg"
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=descriptor)
        inner = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(os.open("a.jpg", os.O_CREAT, dir_fd=descriptor))
    os.close(descriptor)

    try:
        assert listed(tmp_path) == [name]
    finally:
        # Pytest can't remove it: `shutil.rmtree` recurses.
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)


@pytest.mark.parametrize(("year", "seconds"), [(1980, 315_532_800.25), (2107, 4_323_283_200.75)])
def test_modification_time_is_in_whole_seconds_of_any_year(tmp_path: Path, year: int, seconds: float) -> None:
    make_file(tmp_path / "a.jpg", b"123")
    os.utime(tmp_path / "a.jpg", (seconds, seconds))
    listing = LocalListing(tmp_path, DiscoveryCounts())

    [found] = listing.files()

    assert (found.name, found.length, found.modified) == ("a.jpg", 3, int(seconds))
    assert found == listing.status("a.jpg")


def test_replaced_file_of_the_same_second_and_length_has_another_etag(tmp_path: Path) -> None:
    listing = LocalListing(tmp_path, DiscoveryCounts())
    etags = set()
    for nanoseconds in (10**18, 10**18 + 1):
        make_file(tmp_path / "a.jpg")
        os.utime(tmp_path / "a.jpg", ns=(nanoseconds, nanoseconds))
        etags |= {file.etag for file in listing.files()}

    assert len(etags) == 2


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"source: folder '{tmp_path}/nothing' not found"):
        listed(tmp_path / "nothing")
