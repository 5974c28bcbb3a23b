"""What ingest checks before Spark starts."""

from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest_images import ingest as module
from components.ingest_images.ingest import ingest
from components.parameters import IngestOptions
from components.settings import Settings


@pytest.mark.parametrize(
    ("source", "archive", "sentence"),
    [
        ("elsewhere", "", r"source: folder '{here}/elsewhere' not found\. Check the path"),
        ("", "", r"source: 'file://{here}' contains lake '{here}/lake'"),
        ("landing", "{here}/unlabeled/old", r"archive: '{here}/unlabeled/old' lies in unlabeled_source"),
        ("unlabeled", "", r"source: 'file://{here}/unlabeled' lies in unlabeled_source"),
    ],
)
def test_folders_are_checked_before_spark_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, archive: str, sentence: str
) -> None:
    monkeypatch.setattr(module, "spark_session", lambda settings: pytest.fail("Spark was started"))
    for name in ("landing", "unlabeled"):
        (tmp_path / name).mkdir()
    settings = Settings.load(lake=str(tmp_path / "lake"), unlabeled_source=str(tmp_path / "unlabeled"))

    with pytest.raises(InputError, match=f"^{sentence.format(here=tmp_path)}"):
        ingest(settings, str(tmp_path / source), IngestOptions(archive=archive.format(here=tmp_path)))
