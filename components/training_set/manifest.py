"""Read the manifest of a training set, and the labels of its rows. Both environments import this module.

Layout below the lake's root:

    training_sets/<id>/manifest.json      `TrainingSet` as JSON
    training_sets/<id>/members.parquet    path, content_sha256, label, label_source, split, segment, row; never deleted
    segment_files/<name>.parquet          segment, row, content_sha256, content, in the order of `row`

A segment is an immutable file of images of one split. Training sets share segments: a new one adds segments with its
new images, and its members say which rows of which segments count and with which label.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from components.errors import InputError
from components.storage import uri as uris
from components.storage.files import Files

MANIFEST = "manifest.json"
MEMBERS = "members.parquet"
# Not the folder of the Delta table `segments`: VACUUM removes files that a table does not name.
SEGMENTS_FOLDER = "segment_files"

# Label of a row of a segment that is no member of the training set.
NO_MEMBER = -1


class SplitName(StrEnum):
    """Names of the splits of a training set."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class ImageClass(BaseModel):
    """A class of the training set.

    Attributes:
        index: Position in the model's output, from 0.
        label: Class id in the lake.
        name: Name of the class, e.g. `ak47`.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    label: int
    name: str


class Segment(BaseModel):
    """An immutable Parquet file of images of one split.

    Attributes:
        name: Hash of its images and their order, which is also the name of its file.
        split: Split of all its images.
        row_groups: Number of rows of each row group, in their order.
        bytes: Length of its file in bytes.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    split: SplitName
    row_groups: list[int]
    bytes: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(self.row_groups)


class TrainingSet(BaseModel):
    """Manifest of a training set.

    Attributes:
        id: Hash of the members and the split. Equal training sets have equal ids.
        uri: Folder of the training set.
        segments_uri: Folder of the segments.
        classes: Classes in the order of their index.
        counts: Number of images by split.
        segments: Segments with at least one member, sorted by split and name.
        table_versions: Versions of the source tables by name.
        validation_fraction: Fraction of the images in the validation split, 0 to 1.
        test_fraction: Fraction of the images in the test split, 0 to 1.
        split_seed: Seed of the lake's split.
        left_out: Number of labeled images that are not members, by reason.
        merged: The class that counts for each class that was merged into another one. An earlier model may predict such
            a class.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    uri: str
    segments_uri: str
    classes: list[ImageClass]
    counts: dict[SplitName, int]
    segments: list[Segment]
    table_versions: dict[str, int]
    validation_fraction: float
    test_fraction: float
    split_seed: int
    left_out: dict[str, int]
    merged: dict[int, int] = {}

    def segments_of(self, split: SplitName) -> list[Segment]:
        """Return the segments of a split, sorted by name."""
        return [segment for segment in self.segments if segment.split is split]

    def segment_uri(self, name: str) -> str:
        """Return the URI of a segment's file."""
        return uris.join(self.segments_uri, f"{name}.parquet")

    def read_labels(self, segments: Sequence[Segment], files: Files) -> dict[str, npt.NDArray[np.int32]]:
        """Return the class id of each row of some segments.

        Args:
            segments: The segments.
            files: Access to the training set's files.

        Returns:
            For each segment's name an array of shape (rows,): class ids, and `NO_MEMBER` for rows that are no members.
        """
        names = pa.array([segment.name for segment in segments], pa.string())
        ends = np.cumsum([segment.rows for segment in segments], dtype=np.int64)
        starts = ends - [segment.rows for segment in segments]
        labels = np.full(ends[-1] if len(ends) else 0, NO_MEMBER, np.int32)
        folder = uris.join(self.uri, MEMBERS)
        for name in files.list_names(folder):
            if not name.endswith(".parquet"):
                continue
            with files.open_file(uris.join(folder, name)) as source:
                table = pq.read_table(
                    source, columns=["segment", "row", "label"], filters=[("segment", "in", names.to_pylist())]
                )
            places = starts[pc.index_in(table["segment"], value_set=names).to_numpy()] + table["row"].to_numpy()
            labels[places] = table["label"].to_numpy()
        return {segment.name: labels[start:end] for segment, start, end in zip(segments, starts, ends, strict=True)}

    @classmethod
    def read(cls, uri: str, files: Files) -> Self:
        """Read the manifest of a training set.

        Args:
            uri: Folder of the training set.
            files: Access to its files.

        Raises:
            InputError: The folder has no manifest, or one of an earlier release.
        """
        try:
            text = files.read_text(uris.join(uri, MANIFEST))
        except FileNotFoundError as error:
            raise InputError(
                f"training_set: '{uri}' has no {MANIFEST}. Use the URI that build_training_set returned, or run it"
                " again if the training set was deleted."
            ) from error
        if '"segments"' not in text:
            raise InputError(f"training_set: '{uri}' is of an earlier release. Run build_training_set again.")
        return cls.model_validate_json(text)
