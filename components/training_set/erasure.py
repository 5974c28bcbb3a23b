"""Erase images from segments and from the stored features of frozen backbones.

The rows stay, because training sets name rows. A picture of one gray pixel takes the place of the content: unlike a
missing content, every reader can decode it, so training sets that have the image stay usable. New training sets have
no such row as a member. Features of the row become zeros.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.storage import uri as uris
from components.storage.files import Files
from components.training_set.feature_arrays import decode, encode, file_name
from components.training_set.features import FEATURES_FOLDER
from components.training_set.manifest import SEGMENTS_FOLDER

# A PNG file of one gray pixel.
ERASED = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b"
    "550000000a49444154789c636800000082008177cd72b60000000049454e44ae"
    "426082"
)


def erase(lake: str, segment: str, hashes: Collection[str], files: Files) -> int:
    """Replace the content of images in a segment, and their features. Idempotent.

    The features come first: if this is interrupted between the two, the content still shows what is left to erase.

    Args:
        lake: Root URI of the lake.
        segment: Name of the segment.
        hashes: Content hashes of the images.
        files: Access to the lake.

    Returns:
        The number of files of features that were rewritten.
    """
    source = uris.join(lake, SEGMENTS_FOLDER, f"{segment}.parquet")
    rewritten = 0
    with files.open_file(source) as opened, files.open_replacement(source) as replacement:
        parquet = pq.ParquetFile(opened)
        schema = parquet.schema_arrow
        with pq.ParquetWriter(
            replacement,
            schema,
            compression="none",
            use_dictionary=["segment"],
            write_statistics=[name for name in schema.names if name != "content"],
        ) as writer:
            for number in range(parquet.num_row_groups):
                group = parquet.read_row_group(number)
                is_erased = [digest in hashes for digest in group["content_sha256"].to_pylist()]
                if any(is_erased):
                    rewritten += _erase_features(lake, segment, number, is_erased, files)
                    group = _erase_content(group, is_erased)
                writer.write_table(group, row_group_size=group.num_rows)
    return rewritten


def _erase_content(group: pa.Table, is_erased: list[bool]) -> pa.Table:
    contents = [
        ERASED if erased else content.as_py() for content, erased in zip(group["content"], is_erased, strict=True)
    ]
    place = group.schema.get_field_index("content")
    return group.set_column(place, group.schema.field(place), pa.array(contents, pa.binary()))


def _erase_features(lake: str, segment: str, number: int, is_erased: list[bool], files: Files) -> int:
    folder = uris.join(lake, FEATURES_FOLDER)
    rewritten = 0
    for key in files.list_names(folder):
        file = uris.join(folder, key, segment, file_name(number))
        try:
            features = decode(files.read_bytes(file), len(is_erased))
        except FileNotFoundError:
            continue
        if features is None:
            # Damaged. A training computes it anew.
            files.remove(file)
        else:
            features[np.array(is_erased)] = 0
            files.write_bytes(file, encode(features))
        rewritten += 1
    return rewritten
