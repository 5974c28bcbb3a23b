"""The rows that a worker makes of files: hashes and formats of pictures that are kept, converted and refused."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from components.ingest_images import worker
from components.ingest_images.limits import Limits
from components.ingest_images.worker import FORGOTTEN_CONTENT, INPUT, UNCHANGED, Work, ingest_files
from components.preprocessing.image_validator import ImageValidator
from components.settings import Settings
from components.storage.access import Access
from tests.support.sample_pictures import encode, fixture, jpeg

FILES = {"a.jpg": jpeg(), "b.jpg": fixture("plain.heic"), "c.tiff": encode("TIFF"), "d.jpg": b"%PDF-1.7"}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(autouse=True)
def spawned_child(monkeypatch: pytest.MonkeyPatch) -> None:
    # Other tests of this process have used TensorFlow, so it must not fork.
    monkeypatch.setattr(
        worker, "_validator", lambda pixels, seconds: ImageValidator(pixels, 2**30, seconds, fork=False)
    )


def ingest(
    folder: Path,
    stored: dict[str, str],
    limits: Limits = Limits(),  # noqa: B008 - frozen
    forgotten: frozenset[str] = frozenset(),
) -> dict[str, dict[str, object]]:
    rows = []
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
        rows.append((f"file:{folder / name}", len(content), datetime(2026, 1, 1, tzinfo=UTC), stored.get(name)))
    columns = (pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), INPUT, strict=True))
    files = pa.Table.from_arrays(list(columns), schema=INPUT)
    batches = ingest_files(files, Work(Access.of(Settings.load()), limits, 2**20, forgotten=forgotten))
    return {Path(row["path"]).name: row for batch in batches for row in batch.to_pylist()}


def test_row_has_the_hash_of_the_stored_picture_and_hash_and_format_of_the_file(tmp_path: Path) -> None:
    rows = ingest(tmp_path, {})

    assert {name: (row["format"], row["reason"]) for name, row in rows.items()} == {
        "a.jpg": ("jpeg", None),
        "b.jpg": ("heic", None),
        "c.tiff": ("tiff", None),
        "d.jpg": (None, "PDF. Convert it to JPEG or PNG"),
    }
    for name, row in rows.items():
        content = row["content"]
        assert row["source_sha256"] == sha256(FILES[name])
        assert row["length"] == len(FILES[name])
        assert row["content_sha256"] == (sha256(content) if isinstance(content, bytes) else None)
    assert rows["a.jpg"]["content"] == FILES["a.jpg"]
    assert str(rows["b.jpg"]["content"]).startswith("b'\\x89PNG")


def test_file_that_was_converted_before_is_not_stored_again(tmp_path: Path) -> None:
    rows = ingest(tmp_path, {"b.jpg": sha256(FILES["b.jpg"])})

    assert (rows["b.jpg"]["reason"], rows["b.jpg"]["content"]) == (UNCHANGED, None)


def test_file_whose_content_or_stored_picture_was_forgotten_is_not_stored(tmp_path: Path) -> None:
    before = ingest(tmp_path, {})
    forgotten = frozenset({sha256(FILES["a.jpg"]), str(before["b.jpg"]["content_sha256"])})

    rows = ingest(tmp_path, {}, forgotten=forgotten)

    for name in ("a.jpg", "b.jpg"):
        row = rows[name]
        assert (row["reason"], row["content"], row["content_sha256"]) == (FORGOTTEN_CONTENT, None, None)
    assert rows["c.tiff"] == before["c.tiff"]


def test_converted_picture_over_the_limit_of_bytes_is_refused(tmp_path: Path) -> None:
    limits = Limits(bytes=len(FILES["c.tiff"]) + 1)
    rows = ingest(tmp_path, {}, limits)
    short = ingest(tmp_path, {}, Limits(bytes=len(FILES["b.jpg"]) + 1))

    assert rows["c.tiff"]["reason"] is None
    assert short["b.jpg"]["reason"] == f"more than {len(FILES['b.jpg']) + 1} bytes after conversion"
