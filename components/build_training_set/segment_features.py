"""Copy the cached features of merged segments, so that no backbone computes them again.

A training caches the features of a frozen backbone in a file for each row group,
`<features>/<key>/<segment>/<row group>.npy`, of shape (rows of the row group, features).
"""

import io
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from components.storage import uri
from components.storage.files import Files
from components.training_set.manifest import Segment


def copy_features(files: Files, folder: str, segments: Sequence[Segment], merged: Segment) -> None:
    """Copy the features of segments to the row groups of the segment that has all their rows. Idempotent.

    Features of a backbone that are not cached for all rows are left to the next training.

    Args:
        files: Access to the features.
        folder: URI of the folder with the features of all backbones.
        segments: Segments in the order of their rows in `merged`.
        merged: The segment with all their rows.
    """
    for key in files.list_names(folder):
        backbone = uri.join(folder, key)
        if all(_is_cached(files, backbone, segment) for segment in segments):
            arrays = _cut(_read(files, backbone, segments), merged.row_groups)
            for number, array in enumerate(arrays):
                buffer = io.BytesIO()
                np.save(buffer, array)
                files.write_bytes(_file(backbone, merged, number), buffer.getvalue())


def _is_cached(files: Files, backbone: str, segment: Segment) -> bool:
    names = files.list_names(uri.join(backbone, segment.name))
    return {_name(number) for number in range(len(segment.row_groups))} <= set(names)


def _read(files: Files, backbone: str, segments: Sequence[Segment]) -> Iterator[npt.NDArray[np.float32]]:
    for segment in segments:
        for number in range(len(segment.row_groups)):
            yield np.load(io.BytesIO(files.read_bytes(_file(backbone, segment, number))), allow_pickle=False)


def _cut(arrays: Iterator[npt.NDArray[np.float32]], row_groups: Sequence[int]) -> Iterator[npt.NDArray[np.float32]]:
    """Yield the rows of arrays in arrays with other numbers of rows. The sums of the rows are equal."""
    rest = next(arrays)
    for rows in row_groups:
        while len(rest) < rows:
            rest = np.concatenate([rest, next(arrays)])
        yield rest[:rows]
        rest = rest[rows:]


def _file(backbone: str, segment: Segment, number: int) -> str:
    return uri.join(backbone, segment.name, _name(number))


def _name(number: int) -> str:
    return f"{number:05}.npy"
