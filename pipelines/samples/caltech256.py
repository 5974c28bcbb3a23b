"""Caltech-256 as a sample: 30,607 photographs in 257 classes; the first image of each class arrives later.

The archive comes from its authors' record, https://data.caltech.edu/records/nyy15-4j048 (Griffin, Holub and Perona:
Caltech-256 Object Category Dataset, 2007). The record states its MD5, 67b4f42ca05d46448c6bb8ecd2220f6d; torchvision
checks the same file by that MD5 (torchvision.datasets.Caltech256) and by the SHA-256 below (its prototype data set).
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from components.errors import InputError
from components.ingest_images.labels.folders import explicit_class
from pipelines.samples.download import RemoteFile, download
from pipelines.samples.layout import (
    LABELED,
    TRUE_LABELS,
    UNLABELED,
    SampleSummary,
    true_labels_csv,
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
        """Path in the sample."""
        member = PurePosixPath(self.member.name)
        folder = UNLABELED if self.held_back else f"{LABELED}/{member.parent.name}"
        return f"{folder}/{member.name}"


def make_caltech256(folder: Path, console: Console, archive: RemoteFile = ARCHIVE) -> SampleSummary:
    """Download the archive of Caltech-256 and extract its photographs, if they are missing.

    The archive stays in the folder, so that a later call needs no network. Twice its size must be free.

    Args:
        folder: Folder of the sample.
        console: Console that shows the progress.
        archive: The archive.

    Returns:
        The content of the sample.

    Raises:
        InputError: The archive can't be downloaded, is a different file or has forbidden members; or the folder can't
            be written to.
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
    """Write each missing photograph, then the true labels."""
    with tarfile.open(tar, "r:") as archive:
        # Check all members before writing any file: one forbidden member makes the archive unacceptable.
        photographs = {photograph.path: photograph for photograph in _photographs(archive, folder)}
        length = sum(photograph.member.size for photograph in photographs.values())
        bar = progress.add_task(f"{tar.name}: extract", total=length)
        written = 0
        for path, photograph in photographs.items():
            content = archive.extractfile(photograph.member)
            # Only members other than files have no content, and _photographs omits those.
            assert content is not None
            written += write_missing(folder / path, content.read())
            progress.advance(bar, photograph.member.size)
    arriving = [photograph for _, photograph in sorted(photographs.items()) if photograph.held_back]
    rows = ((photograph.path, photograph.label, photograph.name) for photograph in arriving)
    written += write_missing(folder / TRUE_LABELS, true_labels_csv(rows))
    return SampleSummary(
        labeled_folder=folder / LABELED,
        unlabeled_folder=folder / UNLABELED,
        true_labels=folder / TRUE_LABELS,
        classes=len({photograph.label for photograph in photographs.values()}),
        labeled=len(photographs) - len(arriving),
        unlabeled=len(arriving),
        written=written,
    )


def _photographs(archive: tarfile.TarFile, folder: Path) -> Iterator[_Photograph]:
    """Yield the files named *.jpg in the folders of classes. The archive has a few other files, by mistake."""
    for member in archive:
        _check(member, folder)
        found = explicit_class(member.name)
        if member.isfile() and member.name.endswith(".jpg") and found is not None and found.number is not None:
            yield _Photograph(member, found.number, found.name)


def _check(member: tarfile.TarInfo, folder: Path) -> None:
    """Raise an error for a forbidden member: a link, a device, or a path outside the archive's folder."""
    try:
        tarfile.data_filter(member, str(folder))
        # The filter accepts links inside the folder, and absolute paths, whose slash it removes.
        harmless = (member.isfile() or member.isdir()) and not member.name.startswith("/")
    except tarfile.FilterError:
        harmless = False
    if not harmless:
        raise InputError(
            f"url: member '{member.name}' of the archive is a link or leads out of its folder. Nothing was extracted."
            " Use another archive."
        )
