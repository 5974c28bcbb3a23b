"""Test which names of a landing folder are images."""

import contextlib
import fnmatch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.errors import InputError
from components.ingest_images.discovery.counts import OTHER, DiscoveryCounts
from components.ingest_images.discovery.name_filter import NameFilter, compile_glob

# Few letters, so that names often match patterns.
names = st.text("aAbB1._ -", max_size=6)
pieces = st.text("aAbB1._ -", min_size=1, max_size=2) | st.sampled_from(["*", "?", "[ab]", "[a-b]", "[1_]", "[!a]"])
globs = st.lists(pieces, max_size=5).map("".join)


@pytest.mark.parametrize(
    ("glob", "found", "not_found"),
    [
        ("*.jpg", ["a.jpg", "A.JPG", "ü.Jpg", ".jpg", "a\nb.jpg"], ["a.jpeg", "a.jpg.txt", "jpg"]),
        ("*.{jpg,jpeg,png}", ["a.JPG", "a.jpeg", "a.Png"], ["a.gif"]),
        ("IMG_????.jp*g", ["img_0001.jpg", "Img_0001.JPEG"], ["img_01.jpg"]),
        ("[0-9]*.jpg", ["7.JPG"], ["a.jpg"]),
        ("[ab].jpg", ["a.JPG"], ["c.jpg"]),
        ("[^ab].jpg", ["c.JPG"], ["A.jpg"]),
        ("[]a].jpg", ["].jpg", "a.jpg"], ["b.jpg"]),
        (r"\*.jpg", ["*.JPG"], ["a.jpg"]),
        ("a,b+(1).jpg", ["a,b+(1).jpg"], ["a.jpg"]),
        ("*", ["a", "A.JPG", ""], []),
    ],
)
def test_glob_ignores_case(glob: str, found: list[str], not_found: list[str]) -> None:
    pattern = compile_glob(glob)

    assert [name for name in [*found, *not_found] if pattern.fullmatch(name)] == found


@given(globs, names)
@example("*.jpg", "A.JPG")
def test_glob_ignores_only_case(glob: str, name: str) -> None:
    assert bool(compile_glob(glob).fullmatch(name)) == fnmatch.fnmatchcase(name.lower(), glob.lower())


@pytest.mark.parametrize("glob", ["[a.jpg", "*.{jpg", "[z-a].jpg", "["])
def test_malformed_glob_is_refused(glob: str) -> None:
    with pytest.raises(InputError, match="glob: '"):
        compile_glob(glob)


@given(st.text(st.sampled_from("[]{}!^,-\\*?a&|~"), max_size=8))
def test_any_glob_compiles_or_is_refused(glob: str) -> None:
    with contextlib.suppress(InputError):
        compile_glob(glob)


def test_hidden_files_count_each_and_hidden_folders_count_once() -> None:
    counts = DiscoveryCounts()
    names = NameFilter("*.jpg", counts)

    accepted = [
        name
        for name in [
            "_a.jpg",
            ".b.jpg",
            "_tmp/a.jpg",
            "_tmp/b/c.jpg",
            "x/.hidden/a.jpg",
            "x/.hidden/b.jpg",
            "x/a_b.jpg",
        ]
        if names.accepts(name)
    ]

    assert accepted == ["x/a_b.jpg"]
    assert counts.hidden == 4


def test_files_that_the_glob_passes_over_are_counted_by_suffix() -> None:
    counts = DiscoveryCounts()
    names = NameFilter("*.jpg", counts)
    for name in ("a.PNG", "b.png", "c.d/README", "d.tar.gz", "e.jpg"):
        names.accepts(name)

    assert counts.suffixes == {".png": 2, "": 1, ".gz": 1}


def test_suffixes_are_bounded() -> None:
    counts = DiscoveryCounts()
    names = NameFilter("*.jpg", counts)
    for number in range(1000):
        names.accepts(f"a.{number}")

    assert len(counts.suffixes) == 51
    assert counts.suffixes[OTHER] == 950


@pytest.mark.parametrize(
    ("name", "found"),
    [
        *((f"a{suffix}", True) for suffix in (".jpg", ".JPEG", ".Png", ".gif", ".bmp", ".webp", ".HEIC", ".tif")),
        ("a.b.jpg", True),
        ("a.jpg ", True),
        ("50%+1: ü .JFIF", True),
        ("e\u0301\n.jpg", True),
        ("a.txt", False),
        ("a.jpg.txt", False),
        ("a.cr2", False),
        ("jpg", False),
    ],
)
def test_all_known_image_suffixes_match_by_default_in_any_case(name: str, found: bool) -> None:
    assert NameFilter("", DiscoveryCounts()).accepts(f"folder/{name}") == found


def test_files_of_operating_systems_are_one_count() -> None:
    counts = DiscoveryCounts()
    names = NameFilter("*", counts)

    accepted = [
        name
        for name in [
            "cats/Thumbs.db",
            "cats/THUMBS.DB",
            "cats/desktop.ini",
            "cats/.DS_Store",
            "cats/._1.jpg",
            "cats/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
            "cats/@eaDir/2.jpg/SYNOPHOTO_THUMB_M.jpg",
            "__MACOSX/cats/._1.jpg",
            "$RECYCLE.BIN/1.jpg",
            "cats/1.jpg",
        ]
        if names.accepts(name)
    ]

    assert accepted == ["cats/1.jpg"]
    assert (counts.hidden, counts.suffixes) == (8, {})


segments = st.sampled_from(["a", "_b", ".c", "@eaDir", "THUMBS.DB", "d_", "e"])


@given(st.lists(st.lists(segments, min_size=1, max_size=4).map("/".join), max_size=8))
def test_file_is_accepted_if_nothing_in_its_path_is_hidden(paths: list[str]) -> None:
    counts = DiscoveryCounts()
    names = NameFilter("*", counts)

    accepted = [path for path in sorted(paths) if names.accepts(path)]

    assert accepted == [path for path in sorted(paths) if not {*path.split("/")} & {"_b", ".c", "@eaDir", "THUMBS.DB"}]
    assert counts.hidden <= len(paths) - len(accepted)
