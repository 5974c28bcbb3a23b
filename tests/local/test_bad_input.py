"""What becomes of each kind of file: the first table of docs/images.md, line by line."""

import io
import re
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from components.errors import InputError
from components.ingest_images.ingest import IngestResult, ingest_folder
from components.ingest_images.labels import LabelPattern
from components.ingest_images.limits import Limits
from components.ingest_images.requeue import NOT_THERE, requeue, requeue_files
from components.lake import Lake
from components.lake.tables import IMAGES, QUARANTINE
from components.settings import Settings
from pipelines.cli import app
from tests.conftest import REPOSITORY

PASSED_OVER = "passed over"


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


def png(width: int, height: int, bits: int, color: int, row: bytes) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    rows = zlib.compress((b"\0" + row) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode("JPEG", exif=exif)


FILES: dict[str, list[tuple[str, bytes]]] = {
    "JPEG": [("a.jpg", encode("JPEG"))],
    "greyscale JPEG": [("b.jpg", encode("JPEG", "L"))],
    "CMYK JPEG": [("c.jpg", encode("JPEG", "CMYK"))],
    "JPEG with an EXIF rotation": [("d.jpg", rotated())],
    "PNG": [("e.png", encode("PNG"))],
    "16-bit PNG": [("f.png", png(40, 30, 16, 2, bytes([128, 0] * 3 * 40)))],
    "PNG with transparency": [("g.png", encode("PNG", "RGBA"))],
    "GIF": [("h.gif", encode("GIF"))],
    "animated GIF": [("i.gif", animation("GIF"))],
    "BMP": [("j.bmp", encode("BMP"))],
    "WebP": [("k.webp", encode("WEBP"))],
    "animated WebP": [("l.webp", animation("WEBP"))],
    "TIFF": [("m.tiff", encode("TIFF"))],
    "PNG named .jpg": [("n.jpg", encode("PNG"))],
    "JPEG named .png": [("o.png", encode("JPEG"))],
    "text named .jpg": [("p.jpg", b"once upon a time")],
    "file of zero bytes": [("q.jpg", b"")],
    "truncated JPEG": [("r.jpg", encode("JPEG")[:-40])],
    "20,000 x 20,000 pixels in a small file": [("s.png", png(20_000, 20_000, 1, 0, bytes(2500)))],
    "name with spaces": [(" a  name with spaces .jpg", encode("JPEG"))],
    "name with quotes": [("'a' \"b\" `c`.jpg", encode("JPEG"))],
    "name with a hash and a percent sign": [("50%#1 %41%2F.jpg", encode("JPEG"))],
    "name with a newline": [("first\nsecond.jpg", encode("JPEG"))],
    "name with letters beyond ASCII": [("Grüße und 写真.jpg", encode("JPEG"))],
    "name with a colon": [("12:30:00.jpg", encode("JPEG"))],
    "name with an emoji": [("\N{SNOWMAN}\N{CAMERA WITH FLASH}.jpg", encode("JPEG"))],
    "folder without a class number": [("2023-holiday/t.jpg", encode("JPEG"))],
    "one content under two paths with two labels": [
        ("001.one/u.jpg", encode("JPEG", shade=1)),
        ("002.two/u.jpg", encode("JPEG", shade=1)),
    ],
    "name that begins with an underscore": [("_DSC0001.jpg", encode("JPEG"))],
    "name that begins with a dot": [(".v.jpg", encode("JPEG"))],
}


def documented(heading: str) -> dict[str, str]:
    text = (REPOSITORY / "docs" / "images.md").read_text()
    table = text.partition(f"| {heading} | Outcome |")[2].partition("\n\n")[0]
    return dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", table, re.MULTILINE))


def path_of(landing: Path, name: str) -> Path:
    return landing / (name if "/" in name else f"007.any/{name}")


def run(lake: Lake, landing: Path) -> IngestResult:
    return ingest_folder(lake, f"file://{landing}", "*", LabelPattern())


def spelled(path: Path) -> str:
    return f"file:{path}"


@pytest.fixture(scope="module")
def landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    for each in FILES.values():
        for name, content in each:
            path = path_of(folder, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
    return folder


def test_each_file_ends_as_the_documentation_says_and_is_accounted_for_once(lake: Lake, landing: Path) -> None:
    run(lake, landing)

    images = {row["path"]: row for row in lake.read(IMAGES).collect()}
    refused = {row["path"]: row["reason"] for row in lake.read(QUARANTINE).collect()}
    assert not images.keys() & refused.keys()
    assert len(images) == lake.read(IMAGES).count()
    assert len(refused) == lake.read(QUARANTINE).count()

    def outcome(path: Path) -> str:
        name = spelled(path)
        if name in images:
            assert bytes(images[name]["content"]) == path.read_bytes()
            return "images"
        return f"quarantine: {refused[name]}" if name in refused else PASSED_OVER

    found = {case: {outcome(path_of(landing, name)) for name, _ in each} for case, each in FILES.items()}
    promised = documented("File")
    assert found.keys() == promised.keys()
    for case, outcomes in found.items():
        assert len(outcomes) == 1
        assert promised[case].split(",")[0] == re.sub(r"(can't be decoded):.*", r"\1", outcomes.pop()), case
    labels = {Path(name).parent.name: row["label"] for name, row in images.items()}
    assert labels == {"007.any": 7, "2023-holiday": None, "001.one": 1, "002.two": 2}


def test_what_is_good_by_now_leaves_quarantine(lake: Lake, tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "007.any"
    folder.mkdir(parents=True)
    mended, broken, empty, hidden = (folder / name for name in ("a.jpg", "b.jpg", "c.jpg", "_d.jpg"))
    for path, content in ((mended, b"x"), (broken, b"y"), (empty, b""), (hidden, encode("JPEG"))):
        path.write_bytes(content)
    run(lake, folder.parent)
    mended.write_bytes(encode("JPEG"))
    empty.write_bytes(b"z")
    missing = folder / "nowhere.jpg"
    settings = Settings.load(lake=lake.root, labelled_source=str(folder.parent))

    found = requeue(settings, [str(path) for path in (mended, broken, empty, hidden, missing)])

    assert [(Path(each.path).name, each.reason) for each in found] == [
        ("a.jpg", None),
        ("b.jpg", "not an image"),
        ("c.jpg", "not an image"),
        ("_d.jpg", None),
        ("nowhere.jpg", NOT_THERE),
    ]
    assert {Path(row["path"]).name: row["label"] for row in lake.read(IMAGES).collect()} == {"a.jpg": 7, "_d.jpg": 7}
    # One row for each: none for what the file was before, and none for a path that was misspelt.
    assert sorted(Path(row["path"]).name for row in lake.read(QUARANTINE).collect()) == ["b.jpg", "c.jpg"]


def test_what_is_in_images_is_not_replaced_by_requeue(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode("JPEG"))
    first = requeue_files(lake, [f"file://{path}"], None, Limits())
    path.write_bytes(encode("JPEG", shade=1))

    again = requeue_files(lake, [f"file://{path}"], None, Limits())

    assert [each.reason for each in first + again] == [None, "another content at a known path"]
    assert bytes(lake.read(IMAGES).first()["content"]) == encode("JPEG")


def test_larger_images_leave_quarantine_when_a_person_says_so(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encode("JPEG"))

    refused, taken = (
        requeue_files(lake, [f"file://{path}"], None, Limits(pixels=pixels))[0].reason for pixels in (100, 1200)
    )

    assert (refused, taken) == ("more than 100 pixels", None)
    assert lake.read(QUARANTINE).count() == 0


def test_a_file_outside_the_known_folders_needs_to_be_said_to_be_labelled_or_not(lake: Lake, tmp_path: Path) -> None:
    settings = Settings.load(lake=lake.root, labelled_source=str(tmp_path / "landing"))

    with pytest.raises(InputError, match=r"^path: 'file:///elsewhere/a\.jpg' lies neither in") as told:
        requeue(settings, ["/elsewhere/a.jpg"])

    assert str(told.value).endswith("Give --labelled if its folder names its class, else --unlabelled.")


def test_the_command_requeues_by_its_limits_and_shows_whole_paths(lake: Lake, tmp_path: Path) -> None:
    content = encode("JPEG")
    contents = {"good": content, "long": content + bytes(5000), "large": encode("JPEG", size=(60, 40))}
    paths = [tmp_path / "007.any" / f"50%#1[red]%41{'-' * 80}{name}.jpg" for name in contents]
    paths[0].parent.mkdir()
    for path, each in zip(paths, contents.values(), strict=True):
        path.write_bytes(each)
    limits = ["--max-bytes", "5000", "--max-pixels", "1200"]

    result = CliRunner().invoke(
        app, ["requeue", "--lake", lake.root, "--labelled", *limits, *map(spelled, paths)], env={"COLUMNS": "80"}
    )

    rows = [line.strip("│").split("│") for line in result.output.splitlines() if line.startswith("│")]
    files, outcomes = ([cell.strip() for cell in column] for column in zip(*rows, strict=True))
    assert "".join(files) == "".join(map(spelled, paths))
    assert " ".join(filter(None, outcomes)) == (
        "in images not in images: more than 5000 bytes not in images: more than 1200 pixels"
    )
    assert {row["path"]: row["label"] for row in lake.read(IMAGES).collect()} == {spelled(paths[0]): 7}
