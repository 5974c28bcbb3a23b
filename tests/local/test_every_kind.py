"""One run over a folder with every kind of file, folder and name."""

import os
from collections import Counter
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from components.ingest_images.ingest import ingest_folder
from components.ingest_images.report import write_report
from components.lake import Lake
from components.lake.tables import CLASSES, FILES, IMAGE, QUARANTINED
from tests.support.report_page import ReportPage
from tests.support.sample_pictures import documented_outcomes, jpeg, samples

pytestmark = pytest.mark.slow

_QUARANTINE = "quarantine: "
_NAMES = ("a b.jpg", "a+b.JPEG", "100%.jpg", "12:30.jpg", "Caf\u00e9.jpg", "Cafe\u0301.JPG", "#1?.jpg", "trailing.jpg ")
_CLASSES = {
    "001.ak47/001_0001.jpg": "ak47",
    "n01440764/n01440764_1.JPEG": "n01440764",
    "train/cats/1.jpg": "cats",
    "val/Cats /2.jpg": "cats",
    "2026/11/29/dogs/3.jpg": "dogs",
    "year=2026/dogs/4.jpg": "dogs",
    "DCIM/100APPLE/IMG_1.jpg": "",
    "no class.jpg": "",
}
_HIDDEN = ("Thumbs.db", "desktop.ini", ".DS_Store", "._1.jpg", "@eaDir/1.jpg", "__MACOSX/1.jpg", "_temporary/1.jpg")
_OTHER_SUFFIXES = ("notes.txt", "table.CSV", "README")


def make_folder(folder: Path) -> tuple[int, Counter[str]]:
    """Write every kind of file, and return the number of images and of quarantined files by the start of the reason."""
    refused: Counter[str] = Counter()
    images = 0
    outcomes = documented_outcomes()
    for row, (kind, each) in enumerate(samples().items()):
        for number, sample in enumerate(each):
            write(folder / "002.pictures" / f"{row:02}-{number:02}.jpg", sample.content)
            if outcomes[kind].startswith(_QUARANTINE):
                refused[outcomes[kind].removeprefix(_QUARANTINE)] += 1
            else:
                images += 1
    for number, name in enumerate((*_CLASSES, *(f"003.names/{name}" for name in _NAMES))):
        write(folder / name, jpeg(comment=str(number)))
        images += 1
    for name in (*_HIDDEN, *_OTHER_SUFFIXES):
        write(folder / name, jpeg())
    (folder / "link.jpg").symlink_to(folder / "no class.jpg")
    (folder / "001.ak47" / "circle").symlink_to(folder, target_is_directory=True)
    os.mkfifo(folder / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(folder) + b"/Caf\xe9.jpg")).write_bytes(jpeg())
    return images, refused


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_folder_with_every_kind_comes_in_with_the_counts_of_each_outcome(lake: Lake, tmp_path: Path) -> None:
    images, refused = make_folder(tmp_path / "landing")

    result = ingest_folder(lake, f"file://{tmp_path}/landing")
    write_report(result, str(tmp_path / "report.html"))

    assert (result.found, result.ingested) == (images + refused.total(), images)
    by_promise = Counter({promise: count_of(promise, result.quarantined) for promise in refused})
    assert by_promise == refused
    assert result.quarantined.total() == refused.total()
    states = Counter({row["state"]: row["count"] for row in lake.read(FILES).groupBy("state").count().collect()})
    assert states == {IMAGE: images, QUARANTINED: refused.total()}
    page = ReportPage.read(tmp_path / "report.html")
    assert page.figures["Images added"] == f"{images:,}"
    assert page.figures["Quarantined files"] == f"{refused.total():,}"
    passed_over = {row["Kind"]: int(row["Number"]) for row in page.tables["Files and folders passed over"]}
    assert passed_over == {
        "name without a suffix": 1,
        "name ends with '.txt'": 1,
        "name ends with '.csv'": 1,
        "name begins with '_' or '.', or is e.g. Thumbs.db": len(_HIDDEN),
        "symbolic link": 2,
        "pipe, socket or device": 1,
        "name that is not UTF-8": 1,
    }
    assert [row["Images"] for row in page.tables["New images without a label"]] == ["2"]

    assert ingest_folder(lake, f"file://{tmp_path}/landing").found == 0


def test_folders_of_every_layout_name_the_classes_of_their_images(lake: Lake, tmp_path: Path) -> None:
    for number, name in enumerate(_CLASSES):
        write(tmp_path / name, jpeg(comment=str(number)))

    ingest_folder(lake, f"file://{tmp_path}")

    names = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
    found = lake.read(FILES).where(F.col("state") == IMAGE).collect()
    assert len(found) == len(_CLASSES)
    for row in found:
        name = next(name for name in _CLASSES if row["path"].endswith(f"/{name}"))
        assert names.get(row["folder_label"], "").casefold().rstrip() == _CLASSES[name], name


def count_of(promise: str, quarantined: Counter[str]) -> int:
    """Return the number of files whose reason begins as promised."""
    return sum(count for reason, count in quarantined.items() if reason.startswith(promise))
