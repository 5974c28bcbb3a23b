"""Test the discovery of new and changed files against the table `files`."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest_images.discovery import ascending, discover
from components.ingest_images.discovery.discover import Discovered, Discovery
from components.lake import Lake
from components.lake.tables import FILES, IMAGE, QUARANTINED
from components.parameters.ingest import IngestOptions
from components.settings import Settings
from components.storage.access import Access


def discovery(lake: Lake, source: Path, **options: object) -> Discovery:
    return Discovery(lake, f"file://{source}", IngestOptions.model_validate(options), Access.of(Settings()))


def make_files(folder: Path, names: Iterable[str], content: bytes = b"content") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def ingest(lake: Lake, batch: Discovered) -> None:
    """Record a batch in `files`, as ingest does before it acknowledges."""
    rows = lake.spark.createDataFrame(batch.files).selectExpr(
        "*", f"'{IMAGE}' AS state", "TIMESTAMP '2026-01-01' AS ingested_at"
    )
    lake.upsert(FILES, lake.read(FILES).limit(0).unionByName(rows, allowMissingColumns=True))
    batch.acknowledge()


def names(batches: Iterable[Discovered], source: Path) -> list[str]:
    return [path.removeprefix(f"file:{source}/") for batch in batches for path in batch.files["path"].to_pylist()]


def ingest_new(lake: Lake, source: Path, **options: object) -> list[str]:
    """Ingest what is new, and return its names."""
    batches = []
    for batch in discovery(lake, source, **options):
        ingest(lake, batch)
        batches.append(batch)
    return names(batches, source)


def test_only_new_and_changed_files_are_discovered(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["a/1.jpg", "a/2.jpg", "a 1.JPG", "a/3.txt"])
    os.utime(source / "a" / "1.jpg", (315_532_800, 315_532_800))
    os.utime(source / "a" / "2.jpg", (4_323_283_200, 4_323_283_200))

    assert ingest_new(lake, source) == ["a 1.JPG", "a/1.jpg", "a/2.jpg"]
    assert ingest_new(lake, source) == []

    make_files(source, ["0.jpg"])
    assert [batch.absent_in for batch in discovery(lake, source)] == [lake.version(FILES)]
    make_files(source, ["a/1.jpg"], b"CONTENT")

    found = discovery(lake, source)
    batches = list(found)
    assert names(batches, source) == ["0.jpg", "a/1.jpg"]
    assert [batch.absent_in for batch in batches] == [None]
    assert (found.counts.listed, found.counts.discovered, found.counts.suffixes) == (4, 2, {".txt": 1})


def test_files_of_1980_and_2107_keep_their_times(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["old.jpg", "young.jpg"])
    os.utime(source / "old.jpg", (315_532_800, 315_532_800))
    os.utime(source / "young.jpg", (4_323_283_200, 4_323_283_200))

    [batch] = discovery(lake, source)

    assert batch.files["modificationTime"].to_pylist() == [
        datetime(1980, 1, 1, tzinfo=UTC),
        datetime(2107, 1, 1, tzinfo=UTC),
    ]


def test_file_that_could_not_be_read_is_discovered_again(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["a.jpg", "b.jpg"])
    ingest_new(lake, source)
    lake.delta(FILES).update("path LIKE '%a.jpg'", {"length": "NULL", "modificationTime": "NULL"})

    assert names(discovery(lake, source), source) == ["a.jpg"]


def test_lake_without_etags_and_with_fractions_of_seconds_finds_nothing_new(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["a.jpg"])
    os.utime(source / "a.jpg", ns=(10**18 + 500_000_000, 10**18 + 500_000_000))
    ingest_new(lake, source)
    half = "modificationTime + INTERVAL 0.5 SECOND"
    lake.delta(FILES).update("true", {"etag": "NULL", "modificationTime": half})

    assert ingest_new(lake, source) == []


def test_batches_are_bounded_and_sorted_across_chunks(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "_CHUNK", 5)
    monkeypatch.setattr(discover, "MAXIMUM_FILES", 3)
    monkeypatch.setattr(discover, "MAXIMUM_BYTES", 20)
    source = tmp_path / "landing"
    expected = sorted(f"{number:02d}.jpg" for number in range(12))
    make_files(source, expected)
    make_files(source, ["00.jpg"], b"x" * 100)

    batches = list(discovery(lake, source))

    assert names(batches, source) == expected
    assert [batch.files.num_rows for batch in batches] == [1, 2, 2, 2, 2, 1, 2]


def test_incremental_listing_finds_late_files_within_the_overlap(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["2026/01/01/a.jpg", "2026/03/01/a.jpg"])
    assert ingest_new(lake, source) == ["2026/01/01/a.jpg", "2026/03/01/a.jpg"]
    make_files(source, ["2026/01/02/late.jpg", "2026/02/27/late.jpg", "2026/03/02/new.jpg"])

    found = discovery(lake, source)
    batches = list(found)
    for batch in batches:
        ingest(lake, batch)

    assert names(batches, source) == ["2026/02/27/late.jpg", "2026/03/02/new.jpg"]
    assert found.counts.modes == ["incremental listing"]
    assert found.counts.listed == 3
    assert ingest_new(lake, source, discovery="listing") == ["2026/01/02/late.jpg"]


def test_full_listing_is_repeated_until_the_lake_has_all_its_files(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "landing"
    make_files(source, ["2026/01/01/a.jpg", "2026/03/01/a.jpg"])

    # The commit of these files fails.
    assert len(list(discovery(lake, source))) == 1

    assert ingest_new(lake, source) == ["2026/01/01/a.jpg", "2026/03/01/a.jpg"]


def test_folders_without_dates_are_listed_fully_unless_their_names_ascend(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ascending, "_OVERLAP_FILES", 2)
    source = tmp_path / "landing"
    make_files(source, [f"IMG_{number}.jpg" for number in range(5)])
    assert len(ingest_new(lake, source, discovery="incremental")) == 5
    make_files(source, ["IMG_0b.jpg", "IMG_3b.jpg", "IMG_5.jpg"])

    assert names(discovery(lake, source, discovery="incremental"), source) == ["IMG_3b.jpg", "IMG_5.jpg"]
    found = discovery(lake, source, discovery="listing")
    assert names(found, source) == ["IMG_0b.jpg", "IMG_3b.jpg", "IMG_5.jpg"]
    assert found.counts.modes == ["full listing"]


def test_archive_takes_files_an_hour_after_the_lake_has_them(lake: Lake, tmp_path: Path) -> None:
    source, archive = tmp_path / "landing", tmp_path / "archive"
    make_files(source, ["a/1.jpg", "a/2.jpg", "a/3.jpg", "a/4.jpg", "a/5.txt"])
    ingest_new(lake, source, archive=str(archive))
    assert not archive.exists()
    lake.delta(FILES).update("path LIKE '%2.jpg'", {"state": f"'{QUARANTINED}'"})
    lake.delta(FILES).update("path LIKE '%3.jpg'", {"ingested_at": "current_timestamp()"})
    make_files(source, ["a/4.jpg"], b"changed")

    found = discovery(lake, source, archive=str(archive))
    assert names(found, source) == ["a/4.jpg"]

    assert found.counts.archived == 1
    assert (archive / "a" / "1.jpg").read_bytes() == b"content"
    assert sorted(path.name for path in (source / "a").iterdir()) == ["2.jpg", "3.jpg", "4.jpg", "5.txt"]
    assert ingest_new(lake, source, archive="delete") == ["a/4.jpg"]


@pytest.mark.parametrize(
    ("archive", "error"),
    [
        ("{source}/archive", "archive: 'file://{source}/archive' is inside the source"),
        ("s3a://bucket/archive", "archive: 's3a://bucket/archive' is not in the store of"),
    ],
)
def test_archive_that_does_not_suit_the_source_is_refused(lake: Lake, tmp_path: Path, archive: str, error: str) -> None:
    with pytest.raises(InputError, match=error.format(source=tmp_path)):
        discovery(lake, tmp_path, archive=archive.format(source=tmp_path))


def test_queue_of_a_local_source_is_refused(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"queue: given, but source 'file://.*' is local"):
        discovery(lake, tmp_path, queue="https://host/queue")
