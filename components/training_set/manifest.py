"""Read the manifest of a training set. Both environments import this module.

Layout under `<lake>/training_sets/<id>/`:

    manifest.json            `TrainingSet` as JSON
    members.parquet          path, content_sha256, label, label_source, split; never deleted
    train/part-00000.parquet ... validation/... test/...
                             path, content, label (class id), in hash order, one row group per file
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from components.errors import InputError
from components.storage import uri as uris
from components.storage.files import Files

MANIFEST = "manifest.json"
MEMBERS = "members.parquet"


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


class TrainingSet(BaseModel):
    """Manifest of a training set.

    Attributes:
        id: Hash of the members, the split and the number of files. Equal training sets have equal ids.
        uri: Folder of the training set.
        classes: Classes in the order of their index.
        counts: Number of images by split.
        files: Paths of the Parquet files by split, relative to `uri`, in hash order.
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
    classes: list[ImageClass]
    counts: dict[SplitName, int]
    files: dict[SplitName, list[str]]
    table_versions: dict[str, int]
    validation_fraction: float
    test_fraction: float
    split_seed: int
    left_out: dict[str, int]
    merged: dict[int, int] = {}

    def file_urls(self, split: SplitName) -> list[str]:
        """Return the URIs of a split's Parquet files, in hash order."""
        return [uris.join(self.uri, name) for name in self.files[split]]

    @classmethod
    def read(cls, uri: str, files: Files) -> Self:
        """Read the manifest of a training set.

        Args:
            uri: Folder of the training set.
            files: Access to its files.

        Raises:
            InputError: The folder has no manifest.
        """
        try:
            return cls.model_validate_json(files.read_text(uris.join(uri, MANIFEST)))
        except FileNotFoundError as error:
            raise InputError(
                f"training_set: '{uri}' has no {MANIFEST}. Use the URI that build_training_set returned."
            ) from error
