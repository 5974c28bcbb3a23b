"""A training set's files and manifest, as every environment reads them (needs neither Spark nor TensorFlow).

Layout under `<lake>/training_sets/<id>/`:

    manifest.json            this module's `TrainingSet`
    members.parquet          path, content_sha256, label, label_source, split: kept for ever
    train/part-00000.parquet ... validation/... test/...
                             path, content, label (class id), in hash order, one row group a file
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from components.errors import InputError
from components.storage import files
from components.storage import uri as uris

MANIFEST = "manifest.json"
MEMBERS = "members.parquet"


class SplitName(StrEnum):
    """The three parts of a training set."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class ImageClass(BaseModel):
    """A class of the training set.

    Attributes:
        index: Dense index 0..classes-1, the model's.
        label: Class id, the lake's.
        name: Name of the class, as in `ak47`.
    """

    model_config = ConfigDict(frozen=True)

    index: int
    label: int
    name: str


class TrainingSet(BaseModel):
    """The manifest of a training set.

    Attributes:
        id: Hash of the members: the same members are the same training set.
        uri: Folder of the training set.
        classes: Classes by dense index.
        counts: Images by split.
        files: Parquet files by split, named relative to `uri`, in hash order.
        table_versions: Versions of the lake's tables that it was made from.
        validation_fraction: The lake's fraction for validation, 0..1.
        test_fraction: The lake's fraction for test, 0..1.
        split_seed: The lake's seed of the split.
        left_out: Images that have a label but are not members, by reason.
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

    def file_urls(self, split: SplitName) -> list[str]:
        """Return the URIs of a split's Parquet files, in hash order."""
        return [uris.join(self.uri, name) for name in self.files[split]]

    @classmethod
    def read(cls, uri: str) -> Self:
        """Read the manifest of the training set in the folder `uri`.

        Raises:
            InputError: There is none.
        """
        try:
            return cls.model_validate_json(files.read_text(uris.join(uri, MANIFEST)))
        except FileNotFoundError as error:
            raise InputError(
                f"training_set: no {MANIFEST} in '{uri}'. Give the URI that build_training_set returned."
            ) from error
