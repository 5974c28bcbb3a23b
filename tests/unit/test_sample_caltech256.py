"""`pipelines.samples.caltech256`, with an archive from a local server."""

import csv
import hashlib
import io
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from components.errors import InputError
from pipelines.cli import app
from pipelines.samples.caltech256 import ARCHIVE_NAME, make_caltech256
from pipelines.samples.download import RemoteFile
from pipelines.samples.layout import SampleSummary
from tests.unit.file_server import FileServer, serving

CLASSES = ("001.ak47", "056.dog", "198.spider", "257.clutter")
IMAGES = 3
ROOT = "256_ObjectCategories"
KIBIBYTE = 1024

_MAKE = """
import sys
from pathlib import Path
from rich.console import Console
from pipelines.samples.caltech256 import make_caltech256
from pipelines.samples.download import RemoteFile
make_caltech256(Path(sys.argv[1]), Console(), RemoteFile(sys.argv[2], int(sys.argv[3]), sys.argv[4]))
"""


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), link
    return info, content


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def photographs() -> dict[str, bytes]:
    bytes_ = random.Random(0).randbytes
    return {
        f"{folder}/{folder[:3]}_{number:04}.jpg": bytes_(60 * KIBIBYTE)
        for folder in CLASSES
        for number in range(1, IMAGES + 1)
    }


def archive_members() -> list[tuple[tarfile.TarInfo, bytes]]:
    # The real archive has such stray files too.
    strays = [
        member(f"{ROOT}/056.dog/greg", kind=tarfile.DIRTYPE),
        member(f"{ROOT}/056.dog/greg/vision309/056_0001.jpg", b"stray"),
        member(f"{ROOT}/198.spider/RENAME2", b"stray"),
    ]
    return [*strays, *(member(f"{ROOT}/{path}", content) for path, content in photographs().items())]


@pytest.fixture(scope="module")
def tar() -> bytes:
    return tar_of(archive_members())


@pytest.fixture
def server(tar: bytes) -> Iterator[FileServer]:
    with serving(tar) as server:
        yield server


def remote(server: FileServer) -> RemoteFile:
    return RemoteFile(server.url, len(server.content), hashlib.sha256(server.content).hexdigest())


def make(folder: Path, archive: RemoteFile) -> SampleSummary:
    return make_caltech256(folder, Console(file=io.StringIO()), archive)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def put_part(folder: Path, content: bytes, version: str) -> None:
    (folder / f"{ARCHIVE_NAME}.part").write_bytes(content)
    (folder / f"{ARCHIVE_NAME}.part.version").write_text(version)


def assert_whole(folder: Path) -> None:
    for path, content in photographs().items():
        place = f"unlabeled/{Path(path).name}" if path.endswith("_0001.jpg") else f"labeled/{path}"
        assert (folder / place).read_bytes() == content
    assert len(files(folder)) == len(photographs()) + len(["the archive", "the answers"])


def test_first_image_of_each_class_is_unlabeled_and_all_others_are_labeled(server: FileServer, tmp_path: Path) -> None:
    sample = make(tmp_path, remote(server))

    assert_whole(tmp_path)
    assert files(sample.unlabeled_folder) == ["001_0001.jpg", "056_0001.jpg", "198_0001.jpg", "257_0001.jpg"]
    assert (sample.classes, sample.labeled, sample.unlabeled, sample.written) == (4, 8, 4, 13)
    assert list(csv.reader(io.StringIO(sample.true_labels.read_text()))) == [
        ["path", "label", "name"],
        ["unlabeled/001_0001.jpg", "1", "ak47"],
        ["unlabeled/056_0001.jpg", "56", "dog"],
        ["unlabeled/198_0001.jpg", "198", "spider"],
        ["unlabeled/257_0001.jpg", "257", "clutter"],
    ]


def test_second_call_writes_and_downloads_nothing(server: FileServer, tmp_path: Path) -> None:
    make(tmp_path, remote(server))
    before = {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)}

    again = make(tmp_path, remote(server))

    assert again.written == 0
    assert {path: (tmp_path / path).stat().st_mtime_ns for path in files(tmp_path)} == before
    assert server.ranges == [""]


def test_interrupted_extraction_is_completed_offline(server: FileServer, tmp_path: Path) -> None:
    make(tmp_path, remote(server))
    (tmp_path / "labeled" / "056.dog" / "056_0002.jpg").unlink()

    again = make(tmp_path, remote(server))

    assert again.written == 1
    assert_whole(tmp_path)
    assert server.ranges == [""]


def test_killed_download_is_resumed(server: FileServer, tmp_path: Path) -> None:
    server.stalls_after = 320 * KIBIBYTE
    part = tmp_path / f"{ARCHIVE_NAME}.part"
    archive = remote(server)
    process = subprocess.Popen(
        [sys.executable, "-c", _MAKE, str(tmp_path), archive.url, str(archive.size), archive.sha256]
    )
    while not part.exists() or part.stat().st_size < server.stalls_after - 64 * KIBIBYTE:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.stalls_after = None
    received = part.stat().st_size

    make(tmp_path, archive)

    assert server.ranges == ["", f"bytes={received}-"]
    assert server.served[1] == len(server.content) - received
    assert_whole(tmp_path)


def test_dropped_connection_is_resumed_any_number_of_times(server: FileServer, tmp_path: Path) -> None:
    # More drops than attempts without progress are allowed.
    server.drops = [100 * KIBIBYTE] * 7

    make(tmp_path, remote(server))

    assert_whole(tmp_path)
    # Each connection loses less than one chunk of 64 KiB.
    assert server.ranges == ["", *(f"bytes={64 * KIBIBYTE * drop}-" for drop in range(1, 8))]


def test_busy_server_is_asked_again(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503]

    make(tmp_path, remote(server))

    assert_whole(tmp_path)


def test_server_without_ranges_sends_the_whole_file_again(server: FileServer, tmp_path: Path) -> None:
    server.takes_ranges = False
    put_part(tmp_path, server.content[: 100 * KIBIBYTE], server.tag)

    make(tmp_path, remote(server))

    assert server.ranges == [f"bytes={100 * KIBIBYTE}-"]
    assert_whole(tmp_path)


def test_download_without_progress_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.takes_ranges = False
    server.drops = [100 * KIBIBYTE] * 100

    with pytest.raises(InputError, match=r"^url: can't download 'http.*Check the network"):
        make(tmp_path, remote(server))

    assert len(server.ranges) == 5


@pytest.mark.parametrize("takes_if_range", [True, False])
def test_partial_file_of_another_version_is_discarded(server: FileServer, tmp_path: Path, takes_if_range: bool) -> None:
    server.takes_if_range = takes_if_range
    put_part(tmp_path, bytes(100 * KIBIBYTE), '"0"')

    make(tmp_path, remote(server))

    assert server.served[-1] == len(server.content)
    # A server that supports If-Range sends the whole file in the first response.
    assert len(server.ranges) == (1 if takes_if_range else 2)
    assert_whole(tmp_path)


def test_file_with_a_wrong_checksum_is_removed_and_not_extracted(server: FileServer, tmp_path: Path) -> None:
    archive = remote(server)
    server.content = server.content[:-1] + b"!"

    with pytest.raises(InputError, match=rf"^url: the file .* has the SHA-256 [0-9a-f]+ instead of {archive.sha256}"):
        make(tmp_path, archive)

    assert files(tmp_path) == []


def test_file_with_a_wrong_length_is_not_downloaded(server: FileServer, tmp_path: Path) -> None:
    archive = remote(server)
    server.content += b"!"

    with pytest.raises(
        InputError, match=r"^url: '.*' has [\d,]+ bytes instead of .* Give the address of an exact copy\.$"
    ):
        make(tmp_path, archive)

    assert files(tmp_path) == []


def test_other_archive_in_the_folder_is_reported_and_kept(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / ARCHIVE_NAME).write_bytes(b"another one")

    with pytest.raises(InputError, match=r"^to: the SHA-256 of '.*' is not .* Remove the file"):
        make(tmp_path, remote(server))

    assert files(tmp_path) == [ARCHIVE_NAME]


def test_missing_file_on_the_server_raises_an_error_at_once(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [404]

    with pytest.raises(InputError, match=r"^url: can't download '.*' \(404 Not Found\)\. Check .* a mirror"):
        make(tmp_path, remote(server))

    assert len(server.ranges) == 1


def test_absent_server_raises_an_error(tar: bytes, tmp_path: Path) -> None:
    with serving(tar) as server:
        archive = remote(server)

    with pytest.raises(InputError, match=r"^url: can't download '.*' \(.*refused.*\)\. Check .* a mirror"):
        make(tmp_path, archive)


def test_full_disk_is_reported_before_the_download(server: FileServer, tmp_path: Path) -> None:
    archive = RemoteFile(server.url, 2**60, "")

    with pytest.raises(
        InputError, match=r"^to: '.*' has [\d,.]+ GB of free space, .* needs [\d,.]+ GB\. Choose a folder"
    ):
        make(tmp_path, archive)

    assert server.ranges == []


def test_read_only_folder_raises_one_sentence(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"^to: can't write to '.*file' \(.+\)\. Choose a folder"):
        make(tmp_path / "file", remote(server))


@pytest.mark.parametrize(
    "hostile",
    [
        member("../001.ak47/001_0009.jpg", b"out"),
        member(f"{ROOT}/../../001.ak47/001_0009.jpg", b"out"),
        member("/tmp/001.ak47/001_0009.jpg", b"absolute"),
        member(f"{ROOT}/001.ak47/001_0009.jpg", kind=tarfile.SYMTYPE, link="001_0002.jpg"),
        member(f"{ROOT}/001.ak47/001_0009.jpg", kind=tarfile.SYMTYPE, link="/etc/hostname"),
        member(f"{ROOT}/001.ak47/001_0009.jpg", kind=tarfile.LNKTYPE, link=f"{ROOT}/001.ak47/001_0002.jpg"),
        member(f"{ROOT}/001.ak47/001_0009.jpg", kind=tarfile.FIFOTYPE),
    ],
    ids=["up", "up within", "absolute", "symlink", "symlink out", "hard link", "pipe"],
)
def test_archive_with_a_link_or_an_outside_path_is_refused(
    hostile: tuple[tarfile.TarInfo, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "sample"
    # At the end: no earlier member may be extracted either.
    with (
        serving(tar_of([*archive_members(), hostile])) as server,
        pytest.raises(InputError, match=rf"^url: member '{hostile[0].name}' of the archive .* Nothing was extracted"),
    ):
        make(folder, remote(server))

    assert files(tmp_path) == [f"sample/{ARCHIVE_NAME}"]


def test_download_and_extraction_show_progress(server: FileServer, tmp_path: Path) -> None:
    shown = io.StringIO()

    make_caltech256(tmp_path, Console(file=shown, width=200), remote(server))

    download, extract = shown.getvalue().splitlines()
    assert "download" in download
    assert "747.5/747.5 kB" in download
    assert "extract" in extract
    assert "737.3/737.3 kB" in extract


def test_mirror_must_have_the_identical_archive(server: FileServer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sample", "caltech256", "--to", str(tmp_path), "--url", server.url])

    assert isinstance(result.exception, InputError)
    assert "1,183,006,720" in str(result.exception)
    assert server.url in str(result.exception)
