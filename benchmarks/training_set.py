"""Training sets to measure with, in the layout that build_training_set writes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.build_training_set.training_set import MANIFEST, ImageClass, SplitName, TrainingSet

_CLASSES = (1, 2)
_SCHEMA = pa.schema([("path", pa.string()), ("content", pa.binary()), ("label", pa.int32())])


def make_training_set(folder: Path, images: Mapping[SplitName, Sequence[bytes]], files: int) -> TrainingSet:
    """Write a training set of two classes in turn.

    Args:
        folder: Where to.
        images: JPEG files by split.
        files: Parquet files of each split, each one row group.
    """
    names: dict[SplitName, list[str]] = {split: [] for split in SplitName}
    for split, members in images.items():
        (folder / split.value).mkdir(parents=True)
        for number in range(files):
            part = range(number * len(members) // files, (number + 1) * len(members) // files)
            rows = [
                {"path": f"file:///{split}/{row}.jpg", "content": members[row], "label": _CLASSES[row % len(_CLASSES)]}
                for row in part
            ]
            name = f"{split.value}/part-{number:05}.parquet"
            pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), folder / name)
            names[split].append(name)
    made = TrainingSet(
        id=folder.name,
        uri=folder.as_uri(),
        classes=[ImageClass(index=index, label=label, name=str(label)) for index, label in enumerate(_CLASSES)],
        counts={split: len(images.get(split, ())) for split in SplitName},
        files=names,
        table_versions={},
        validation_fraction=0.1,
        test_fraction=0.1,
        split_seed=0,
        left_out={},
    )
    (folder / MANIFEST).write_text(made.model_dump_json())
    return made
