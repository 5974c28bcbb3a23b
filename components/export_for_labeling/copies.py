"""The copies of a batch's images, written where the images are: by Spark's Python workers."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa

from components.errors import InputError
from components.export_for_labeling.destinations import Destination

FOLDER = "images"
# Copies that a Spark task writes at a time. More than one, because a store takes longer to answer than to take in an
# image; no more, because all of the pool's tasks write at a time, and a store slows down who asks for too much.
WRITERS = 8
_DIGEST_DIGITS = 16
_STEM_CHARACTERS = 80
_SUFFIX_CHARACTERS = 10

COPIED_COLUMNS = "path STRING, file STRING, content BINARY, error STRING"
_SCHEMA = pa.schema([("path", pa.string()), ("file", pa.string()), ("content", pa.binary()), ("error", pa.string())])


def copy_name(content_sha256: str, path: str) -> str:
    """Return the name of an image's copy within its batch: unique by content, readable, and valid in any store."""
    name = PurePosixPath(re.sub(r"[^A-Za-z0-9._-]", "_", path.rsplit("/", 1)[-1]))
    readable = name.stem[:_STEM_CHARACTERS] + name.suffix[:_SUFFIX_CHARACTERS]
    return f"{FOLDER}/{content_sha256[:_DIGEST_DIGITS]}-{readable}"


def copy(destination: Destination, batch: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that writes copies.

    It takes path, content_sha256, content, the boolean shown and the map about, which goes with the copy; and answers
    the name of each copy, with the content if it is to be shown. A destination that can't be written to answers one row
    with the error, and is left alone then.

    Args:
        destination: Where to.
        batch: The batch's name.
    """

    def write(row: dict[str, pa.Scalar]) -> dict[str, Any]:
        path, content = row["path"].as_py(), row["content"].as_py()
        content_sha256 = row["content_sha256"].as_py()
        file = copy_name(content_sha256, path)
        destination.write(f"{batch}/{file}", content, dict(row["about"].as_py()) | {"sha256": content_sha256})
        return {"path": path, "file": file, "content": content if row["shown"].as_py() else None, "error": None}

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(WRITERS) as pool:
            for images in batches:
                # Scalars: each thread makes bytes of just the image that it writes.
                rows = (dict(zip(images.schema.names, values, strict=True)) for values in zip(*images, strict=True))
                try:
                    copied = list(pool.map(write, rows))
                except InputError as error:
                    yield pa.RecordBatch.from_pylist([{"error": str(error)}], schema=_SCHEMA)
                    return
                yield pa.RecordBatch.from_pylist(copied, schema=_SCHEMA)

    return run
