"""Caltech-256 as a sample: 30,607 photographs in 257 classes, of which the first one of each class arrives later.

The archive is the one of its authors' record, https://data.caltech.edu/records/nyy15-4j048 (Griffin, Holub and Perona:
Caltech-256 Object Category Dataset, 2007). The record states its MD5, 67b4f42ca05d46448c6bb8ecd2220f6d; torchvision
checks the same file by that MD5 (torchvision.datasets.Caltech256) and by the SHA-256 below (its prototype of it).
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from components.errors import InputError
from components.ingest_images.labels import LabelPattern
from pipelines.samples.download import RemoteFile, download
from pipelines.samples.layout import (
    ANSWERS,
    LABELLED,
    UNLABELLED,
    SampleSummary,
    answers_csv,
    unwritable,
    write_missing,
)

ARCHIVE = RemoteFile(
    url="https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
    size=1_183_006_720,
    sha256="08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
)
ARCHIVE_NAME = "256_ObjectCategories.tar"

_HELD_BACK = "_0001.jpg"


@dataclass(frozen=True)
class _Photograph:
    member: tarfile.TarInfo
    label: int
    name: str

    @property
    def held_back(self) -> bool:
        return self.member.name.endswith(_HELD_BACK)

    @property
    def path(self) -> str:
        """Where it lies in the sample."""
        member = PurePosixPath(self.member.name)
        folder = UNLABELLED if self.held_back else f"{LABELLED}/{member.parent.name}"
        return f"{folder}/{member.name}"


def make_caltech256(folder: Path, console: Console, archive: RemoteFile = ARCHIVE) -> SampleSummary:
    """Download the archive of Caltech-256 and lay its photographs out; leave what is there as it is.

    The archive stays in the folder, so that a later call needs no network. Twice its length must be free.

    Args:
        folder: Where to; made if there is none.
        console: Shows how far it is.
        archive: Where the archive is, and what it is known by.

    Returns:
        What the sample consists of.

    Raises:
        InputError: The archive can't be had, is another one or holds what it should not; or the folder can't be written
            to.
    """
    tar = folder / ARCHIVE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _progress(console) as progress:
            download(archive, tar, progress, spare=archive.size)
            return _lay_out(tar, folder, progress)
    except OSError as error:
        raise unwritable(folder, error) from error


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        yield progress


def _lay_out(tar: Path, folder: Path, progress: Progress) -> SampleSummary:
    """Write each photograph that is missing, and the answers last."""
    with tarfile.open(tar, "r:") as archive:
        # Read to its end before anything is written: one member that must not be spoils the archive.
        photographs = {each.path: each for each in _photographs(archive, folder)}
        length = sum(each.member.size for each in photographs.values())
        bar = progress.add_task(f"{tar.name}: extract", total=length)
        written = 0
        for path, photograph in photographs.items():
            content = archive.extractfile(photograph.member)
            # Only a member that is no file has no content, and those are refused.
            assert content is not None
            written += write_missing(folder / path, content.read())
            progress.advance(bar, photograph.member.size)
    arriving = [each for _, each in sorted(photographs.items()) if each.held_back]
    written += write_missing(folder / ANSWERS, answers_csv((each.path, each.label, each.name) for each in arriving))
    return SampleSummary(
        labelled_folder=folder / LABELLED,
        unlabelled_folder=folder / UNLABELLED,
        answers=folder / ANSWERS,
        classes=len({each.label for each in photographs.values()}),
        labelled=len(photographs) - len(arriving),
        unlabelled=len(arriving),
        written=written,
    )


def _photographs(archive: tarfile.TarFile, folder: Path) -> Iterator[_Photograph]:
    """Yield what lies in a class' folder and is named *.jpg; the archive holds a few other things, by mistake."""
    pattern = LabelPattern()
    for member in archive:
        _check(member, folder)
        found = pattern.read(member.name)
        if member.isfile() and member.name.endswith(".jpg") and found:
            yield _Photograph(member, *found)


def _check(member: tarfile.TarInfo, folder: Path) -> None:
    """Raise an error for a member that a data set has no use for: a link, a device, a path that leads elsewhere."""
    try:
        tarfile.data_filter(member, str(folder))
        # The filter would take the slash off an absolute path, and let links through that stay inside.
        harmless = (member.isfile() or member.isdir()) and not member.name.startswith("/")
    except tarfile.FilterError:
        harmless = False
    if not harmless:
        raise InputError(
            f"url: the archive holds '{member.name}', which is a link or leads out of its folder; nothing was"
            " extracted. Use another archive."
        )
