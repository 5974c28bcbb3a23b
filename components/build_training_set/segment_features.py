"""Copy the cached features of merged segments, so that no backbone computes them again."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from components.storage import uri
from components.storage.files import Files
from components.training_set.feature_arrays import Features, decode, encode, file_name
from components.training_set.manifest import Segment


class _DamagedError(Exception):
    """A file does not hold the features of its row group."""


def copy_features(files: Files, folder: str, segments: Sequence[Segment], merged: Segment) -> None:
    """Copy the features of segments to the row groups of the segment that has all their rows. Idempotent.

    Features of a backbone of which a file is missing or damaged are left to the next training.

    Args:
        files: Access to the features.
        folder: URI of the folder with the features of all backbones.
        segments: Segments in the order of their rows in `merged`.
        merged: The segment with all their rows.
    """
    for key in files.list_names(folder):
        backbone = uri.join(folder, key)
        if all(_is_cached(files, backbone, segment) for segment in segments):
            with suppress(_DamagedError):
                for number, features in enumerate(_cut(_read(files, backbone, segments), merged.row_groups)):
                    files.write_bytes(_file(backbone, merged, number), encode(features))


def _is_cached(files: Files, backbone: str, segment: Segment) -> bool:
    names = files.list_names(uri.join(backbone, segment.name))
    return {file_name(number) for number in range(len(segment.row_groups))} <= set(names)


def _read(files: Files, backbone: str, segments: Sequence[Segment]) -> Iterator[Features]:
    widths: set[int] = set()
    for segment in segments:
        for number, rows in enumerate(segment.row_groups):
            features = decode(files.read_bytes(_file(backbone, segment, number)), rows)
            if features is None or len(widths | {features.shape[1]}) > 1:
                raise _DamagedError
            widths.add(features.shape[1])
            yield features


def _cut(arrays: Iterator[Features], row_groups: Sequence[int]) -> Iterator[Features]:
    """Yield the rows of arrays in arrays with other numbers of rows. The sums of the rows are equal."""
    rest = next(arrays)
    for rows in row_groups:
        while len(rest) < rows:
            rest = np.concatenate([rest, next(arrays)])
        yield rest[:rows]
        rest = rest[rows:]


def _file(backbone: str, segment: Segment, number: int) -> str:
    return uri.join(backbone, segment.name, file_name(number))
