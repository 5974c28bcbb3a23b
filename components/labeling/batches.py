"""The layout of an exported batch: a manifest, and copies of images whose names identify the images."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from components.labeling.copy_names import DIGEST_DIGITS, PARTS_OF_COPY, own_name, parts_of_copy
from components.labeling.formats import LocatedAnnotation, Rejection

MANIFEST = "manifest.jsonl"
# Lock of the step that writes batches.
EXPORT_LOCK = "export_for_labeling"
UNKNOWN_COPY = (
    "path: no batch of this lake contains this file. Check that the labeling project uses this lake's batches."
)

IMAGES_FOLDER = "images"
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
    return f"{IMAGES_FOLDER}/{content_sha256[:DIGEST_DIGITS]}-{name.stem[:_STEM_CHARACTERS]}{suffix}"


def possible_copy_names(content_sha256: str, path: str) -> set[str]:
    """Return the names that an image's copy can have within its batch, whatever the format of the stored picture.

    Args:
        content_sha256: Content hash of the image.
        path: Path of the image.
    """
    return {copy_name(content_sha256, path, content_format) for content_format in ("", *_SUFFIXES)}


def batch_of_copy(address: str) -> str:
    """Return the name of the batch in the address of an exported copy; empty if the address lacks the batch."""
    return parts_of_copy(address)[0] if _has_batch(address) else ""


def digest_of_copy(address: str) -> str:
    """Return the first digits of the content hash in the address of a copy that lacks the batch; empty for none.

    A labeling service to which people upload copies keeps their names only.
    """
    return "" if _has_batch(address) else own_name(address)[:DIGEST_DIGITS]


def images_by_copy(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Map the name of each exported copy to the path and the batch of its image.

    Args:
        lines: Lines of manifests, with at least `path`, `file` and `batch`.

    Returns:
        Path and batch by name of the copy, with its batch (`20260501T120000Z-0123abcd/images/ab12-1.jpg`) and without
        (`ab12-1.jpg`), and by both names without their suffixes, which depend on the stored picture. If several batches
        have a copy of this name, the name stands for the one of the newest batch.
    """
    images: dict[str, tuple[str, str]] = {}
    for line in sorted(lines, key=lambda line: (line["batch"], line["path"])):
        image = line["path"], line["batch"]
        images[f"{line['batch']}/{line['file']}"] = images[line["file"].rpartition("/")[2]] = image
    return {_without_suffix(name): image for name, image in images.items()} | images


def resolve_copy(located: LocatedAnnotation, images: Mapping[str, tuple[str, str]]) -> LocatedAnnotation | Rejection:
    """Replace the address of an exported copy by the path of its image.

    Args:
        located: An annotation whose path is a URL (`AmlDatastore://`, `azureml://`, `https://`), a path in a container,
            or the name of an uploaded copy.
        images: Path and batch by copy, from `images_by_copy`.

    Returns:
        The annotation with the path and the batch of its image, or a rejection if no batch contains the copy.
    """
    address = located.annotation.path
    name = "/".join(parts_of_copy(address)) if _has_batch(address) else own_name(address)
    found = images.get(name) or images.get(_without_suffix(name))
    if found is None:
        return Rejection(located.place, UNKNOWN_COPY, retryable=True)
    path, batch = found
    return LocatedAnnotation(located.place, located.annotation.model_copy(update={"path": path, "batch": batch}))


def _has_batch(address: str) -> bool:
    parts = parts_of_copy(address)
    if len(parts) < PARTS_OF_COPY or parts[1] != IMAGES_FOLDER:
        return False
    # Label Studio puts uploaded files into a folder of this name too, in some exports.
    return own_name(address) in ("", parts[-1])


def _without_suffix(name: str) -> str:
    return name.removesuffix(PurePosixPath(name).suffix)
