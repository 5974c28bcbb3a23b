"""The layout of an exported batch: a manifest, and copies of images whose names identify the images."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from components.labeling.formats import LocatedAnnotation, Rejection

MANIFEST = "manifest.jsonl"
UNKNOWN_COPY = (
    "path: no batch of this lake contains this file. Check that the labeling project uses this lake's batches."
)

IMAGES_FOLDER = "images"
# Batch, folder and name.
_PARTS_OF_COPY = 3
_DIGEST_DIGITS = 16
_STEM_CHARACTERS = 80
_SUFFIX_CHARACTERS = 10
# Suffixes of the formats in which pictures are stored. The first one replaces a suffix of another format.
_SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "gif": (".gif",),
    "bmp": (".bmp", ".dib"),
    "webp": (".webp",),
}


def copy_name(content_sha256: str, path: str, content_format: str = "") -> str:
    """Return the name of an image's copy within its batch.

    The name differs for different contents, is readable, and is valid in any store.

    Args:
        content_sha256: Content hash of the image.
        path: Path of the image.
        content_format: Format of the stored picture, e.g. `png`. Stores and labeling services tell the format by the
            suffix, so a suffix of another format is replaced. Empty keeps the path's suffix.
    """
    name = PurePosixPath(re.sub(r"[^A-Za-z0-9._-]", "_", path.rsplit("/", 1)[-1]))
    suffixes = _SUFFIXES.get(content_format, (name.suffix.lower(),))
    suffix = name.suffix[:_SUFFIX_CHARACTERS] if name.suffix.lower() in suffixes else suffixes[0]
    return f"{IMAGES_FOLDER}/{content_sha256[:_DIGEST_DIGITS]}-{name.stem[:_STEM_CHARACTERS]}{suffix}"


def batch_of_copy(path: str) -> str:
    """Return the name of the batch in the path or URL of an exported copy; empty if the path is too short."""
    parts = _parts_of_copy(path)
    return parts[0] if len(parts) == _PARTS_OF_COPY else ""


def images_by_copy(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Map the name of each exported copy to the path and the batch of its image.

    Args:
        lines: Lines of manifests, with at least `path`, `file` and `batch`.

    Returns:
        Path and batch by name of the copy, with and without its suffix, e.g. `20260501T120000Z-0123abcd/images/ab12-1`.
        The suffix of a copy depends on the stored picture.
    """
    images = {f"{line['batch']}/{line['file']}": (line["path"], line["batch"]) for line in lines}
    return {_without_suffix(name): image for name, image in images.items()} | images


def resolve_copy(located: LocatedAnnotation, images: Mapping[str, tuple[str, str]]) -> LocatedAnnotation | Rejection:
    """Replace the path of an exported copy by the path of its image.

    Args:
        located: An annotation whose path is a URL (`AmlDatastore://`, `azureml://`, `https://`), or a path in a
            container.
        images: Path and batch by copy, from `images_by_copy`.

    Returns:
        The annotation with the path and the batch of its image, or a rejection if no batch contains the copy.
    """
    name = "/".join(_parts_of_copy(located.annotation.path))
    found = images.get(name) or images.get(_without_suffix(name))
    if found is None:
        return Rejection(located.place, UNKNOWN_COPY, retryable=True)
    path, batch = found
    return LocatedAnnotation(located.place, located.annotation.model_copy(update={"path": path, "batch": batch}))


def _parts_of_copy(path: str) -> list[str]:
    """Return the batch, the folder and the name of a copy."""
    # A signature may follow the name. The prefix before the batch depends on the container and the datastore.
    return path.partition("?")[0].split("/")[-_PARTS_OF_COPY:]


def _without_suffix(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)
