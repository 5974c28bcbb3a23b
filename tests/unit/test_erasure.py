"""Erasing images from segments keeps all other rows, and every reader can decode what is left."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from components.storage.files import Files
from components.storage.uri import local_path
from components.training_set.erasure import ERASED, erase
from components.training_set.feature_arrays import decode, encode, file_name
from components.training_set.features import FEATURES_FOLDER
from components.training_set.manifest import SEGMENTS_FOLDER, SplitName
from tests.support.training_set_factory import digits, make_training_set


def test_content_in_place_of_an_erased_one_is_a_picture() -> None:
    assert Image.open(io.BytesIO(ERASED)).convert("RGB").getpixel((0, 0)) == (128, 128, 128)


def test_erased_image_leaves_its_row_and_all_other_images(tmp_path: Path) -> None:
    made = make_training_set(tmp_path, {SplitName.TRAIN: digits(10)}, rows=4)
    (segment,) = made.segments
    file = local_path(made.segment_uri(segment.name))
    assert file is not None
    before = pq.read_table(file).to_pylist()
    erased = before[5]
    features = tmp_path / FEATURES_FOLDER / "key" / segment.name / file_name(1)
    features.parent.mkdir(parents=True)
    features.write_bytes(encode(np.ones((4, 3), np.float32)))

    for expected_rewrites in (1, 1):
        assert erase(tmp_path.as_uri(), segment.name, {erased["content_sha256"]}, Files()) == expected_rewrites

        after = pq.read_table(file).to_pylist()
        assert after == [*before[:5], erased | {"content": ERASED}, *before[6:]]
        metadata = pq.read_metadata(file)
        assert [metadata.row_group(each).num_rows for each in range(metadata.num_row_groups)] == segment.row_groups
        assert erased["content"] not in file.read_bytes()
        stored = decode(features.read_bytes(), 4)
        assert stored is not None
        assert stored.tolist() == [[1] * 3, [0] * 3, [1] * 3, [1] * 3]
    assert file.parent == tmp_path / SEGMENTS_FOLDER
