"""What becomes of each file and name: the table of names in docs/images.md, line by line."""

import hashlib
import io
import re
from pathlib import Path

import pytest
from PIL import Image
from pyspark.sql import functions as F
from typer.testing import CliRunner

from components.errors import InputError
from components.ingest_images.ingest import IngestResult, ingest_folder
from components.ingest_images.limits import Limits
from components.ingest_images.requeue import FILE_NOT_FOUND, requeue, requeue_files
from components.lake import Lake
from components.lake.tables import FILES as FILES_TABLE
from components.lake.tables import IMAGE, IMAGES, QUARANTINED
from components.parameters import IngestOptions
from components.settings import Settings
from pipelines.cli import app
from tests.support.paths import REPOSITORY
from tests.support.sample_pictures import fixture, png

SKIPPED = "skipped"


def encode(form: str, mode: str = "RGB", shade: int = 90, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = Image.new("RGB", size, (shade, 120, 30))
    picture.convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def animation(form: str) -> bytes:
    frames = [Image.new("RGB", (40, 30), (shade, 0, 0)) for shade in (0, 100, 200)]
    buffer = io.BytesIO()
    frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode("JPEG", exif=exif)


def with_transparency() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (40, 30), (90, 120, 30, 128)).save(buffer, "PNG")
    return buffer.getvalue()


FILES: dict[str, list[tuple[str, bytes]]] = {
    "JPEG": [("a.jpg", encode("JPEG"))],
    "JPEG with an EXIF rotation": [("d.jpg", rotated())],
    "PNG with transparency": [("g.png", with_transparency())],
    "animated WebP": [("l.webp", animation("WEBP"))],
    "TIFF": [("m.tiff", encode("TIFF"))],
    "HEIC named .jpg": [("w.jpg", fixture("plain.heic"))],
    "PNG named .jpg": [("n.jpg", encode("PNG"))],
    "JPEG named .png": [("o.png", encode("JPEG"))],
    "text named .jpg": [("p.jpg", b"once upon a time")],
    "file of zero bytes": [("q.jpg", b"")],
    "truncated JPEG": [("r.jpg", encode("JPEG")[:-40])],
    "20,000 x 20,000 pixels in a small file": [("s.png", png(20_000, 20_000, 1, 0, bytes(2501 * 20_000)))],
    "name with spaces": [(" a  name with spaces .jpg", encode("JPEG"))],
    "name with quotes": [("'a' \"b\" `c`.jpg", encode("JPEG"))],
    "name with a hash and a percent sign": [("50%#1 %41%2F.jpg", encode("JPEG"))],
    "name with a newline": [("first\nsecond.jpg", encode("JPEG"))],
    "name with letters beyond ASCII": [("Grüße und 写真.jpg", encode("JPEG"))],
    "name with a colon": [("12:30:00.jpg", encode("JPEG"))],
    "name with an emoji": [("\N{SNOWMAN}\N{CAMERA WITH FLASH}.jpg", encode("JPEG"))],
    "folder that may not be a class": [("2023-holiday/t.jpg", encode("JPEG"))],
    "one content under two paths with two labels": [
        ("001.one/u.jpg", encode("JPEG", shade=1)),
        ("002.two/u.jpg", encode("JPEG", shade=1)),
    ],
    "name that begins with an underscore": [("_DSC0001.jpg", encode("JPEG"))],
    "name that begins with a dot": [(".v.jpg", encode("JPEG"))],
    "file of an operating system, e.g. `Thumbs.db`": [
        ("Thumbs.db", encode("JPEG")),
        ("DESKTOP.INI", b"[.ShellClassInfo]"),
        ("__MACOSX/007.any/a.jpg", encode("JPEG")),
        ("007.any/@eaDir/a.jpg/thumbnail.jpg", encode("JPEG")),
    ],
}


def documented(heading: str) -> dict[str, str]:
    text = (REPOSITORY / "docs" / "images.md").read_text()
    table = text.partition(f"| {heading} | Outcome |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE))


def path_of(landing: Path, name: str) -> Path:
    return landing / (name if "/" in name else f"007.any/{name}")


def run(lake: Lake, landing: Path) -> IngestResult:
    return ingest_folder(lake, f"file://{landing}", IngestOptions(glob="*"))


def spelled(path: Path) -> str:
    return f"file:{path}"


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for each in FILES.values():
        for name, content in each:
            path = path_of(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def test_each_bad_file_ends_where_the_documentation_says_exactly_once(lake: Lake, landing: Path) -> None:
    run(lake, landing)

    recorded = {row["path"]: row for row in lake.read(FILES_TABLE).collect()}
    assert len(recorded) == lake.read(FILES_TABLE).count() == lake.read(IMAGES).count()
    contents = {row["path"]: row["content"] for row in lake.read(IMAGES).where("content IS NOT NULL").collect()}
    images = {path: row for path, row in recorded.items() if row["state"] == IMAGE}
    refused = {path: row["reason"] for path, row in recorded.items() if row["state"] == QUARANTINED}
    assert contents.keys() == images.keys()

    def outcome(path: Path) -> str:
        name = spelled(path)
        if name in images:
            stored, file = bytes(contents[name]), path.read_bytes()
            assert images[name]["content_sha256"] == hashlib.sha256(stored).hexdigest()
            assert images[name]["source_sha256"] == hashlib.sha256(file).hexdigest()
            return "images" if stored == file else "converted"
        return f"quarantine: {refused[name]}" if name in refused else SKIPPED

    found = {case: {outcome(path_of(landing, name)) for name, _ in each} for case, each in FILES.items()}
    promised = documented("File")
    assert found.keys() == promised.keys()
    for case, outcomes in found.items():
        assert len(outcomes) == 1
        assert promised[case].split(",")[0] == re.sub(r"(can't be decoded):.*", r"\1", outcomes.pop()), case
    labels = {Path(name).parent.name: row["folder_label"] for name, row in images.items()}
    assert labels == {"007.any": 7, "2023-holiday": None, "001.one": 1, "002.two": 2}


def test_requeue_ingests_files_that_have_become_valid(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "007.any"
    folder.mkdir(parents=True)
    mended, broken, empty, hidden = (folder / name for name in ("a.jpg", "b.jpg", "c.jpg", "_d.jpg"))
    for path, content in ((mended, b"x"), (broken, b"y"), (empty, b""), (hidden, encode("JPEG"))):
        path.write_bytes(content)
    run(lake, folder.parent)
    mended.write_bytes(encode("JPEG"))
    empty.write_bytes(b"z")
    missing = folder / "nowhere.jpg"
    settings = Settings.load(lake=lake.root, labeled_source=str(folder.parent))

    found = requeue(settings, [str(path) for path in (mended, broken, empty, hidden, missing)])

    assert [(Path(each.path).name, each.reason) for each in found] == [
        ("a.jpg", None),
        ("b.jpg", "not an image"),
        ("c.jpg", "not an image"),
        ("_d.jpg", None),
        ("nowhere.jpg", FILE_NOT_FOUND),
    ]
    # None for a path that was misspelled.
    assert {
        (Path(row["path"]).name, row["state"], row["folder_label"]) for row in lake.read(FILES_TABLE).collect()
    } == {
        ("a.jpg", IMAGE, 7),
        ("b.jpg", QUARANTINED, None),
        ("c.jpg", QUARANTINED, None),
        ("_d.jpg", IMAGE, 7),
    }


def test_requeue_ingests_the_present_content_of_a_file(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    outcomes = []
    for shade in (90, 1):
        path.write_bytes(encode("JPEG", shade=shade))
        outcomes += requeue_files(lake, [f"file://{path}"], None, Limits(), f"file://{tmp_path}")

    assert [each.reason for each in outcomes] == [None, None]
    newest = lake.read(IMAGES).orderBy(F.desc("ingested_at")).first()
    assert bytes(newest["content"]) == encode("JPEG", shade=1)
    assert lake.read(FILES_TABLE).first()["content_sha256"] == newest["content_sha256"]


def test_requeue_with_a_larger_limit_ingests_large_images(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode("JPEG"))

    refused, taken = (
        requeue_files(lake, [f"file://{path}"], None, Limits(pixels=pixels), f"file://{tmp_path}")[0].reason
        for pixels in (100, 1200)
    )

    assert (refused, taken) == ("more than 100 pixels", None)
    assert [row["state"] for row in lake.read(FILES_TABLE).collect()] == [IMAGE]


def test_requeue_of_a_file_outside_the_landing_folders_requires_labeled_or_unlabeled(
    lake: Lake, tmp_path: Path
) -> None:
    settings = Settings.load(lake=lake.root, labeled_source=str(tmp_path / "landing"))

    with pytest.raises(
        InputError, match=r"^path: 'file:///elsewhere/a\.jpg' is in neither labeled_source nor"
    ) as error:
        requeue(settings, ["/elsewhere/a.jpg"])

    assert str(error.value).endswith("Add --labeled if its folder names its class, else --unlabeled.")


def test_requeue_command_applies_its_limits_and_prints_whole_paths(lake: Lake, tmp_path: Path) -> None:
    content = encode("JPEG")
    contents = {"good": content, "long": content + bytes(5000), "large": encode("JPEG", size=(60, 40))}
    paths = [tmp_path / "007.any" / f"50%#1[red]%41{'-' * 80}{name}.jpg" for name in contents]
    paths[0].parent.mkdir()
    for path, each in zip(paths, contents.values(), strict=True):
        path.write_bytes(each)
    limits = ["--max-bytes", "5000", "--max-pixels", "1200"]

    result = CliRunner().invoke(
        app, ["requeue", "--lake", lake.root, "--labeled", *limits, *map(spelled, paths)], env={"COLUMNS": "80"}
    )

    rows = [line.strip("│").split("│") for line in result.output.splitlines() if line.startswith("│")]
    files, outcomes = ([cell.strip() for cell in column] for column in zip(*rows, strict=True))
    assert "".join(files) == "".join(map(spelled, paths))
    assert " ".join(filter(None, outcomes)) == ("image no image: more than 5000 bytes no image: more than 1200 pixels")
    rows_of_images = lake.read(FILES_TABLE).where(F.col("state") == IMAGE).collect()
    assert {row["path"]: row["folder_label"] for row in rows_of_images} == {spelled(paths[0]): 7}
