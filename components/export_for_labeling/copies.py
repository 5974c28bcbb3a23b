"""The copies of a batch's images. Spark's Python workers write them; the driver gets only a few for the report."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from components.errors import InputError, TransientError
from components.labeling.batches import copy_name
from components.preprocessing.header import image_format
from components.storage.folder import Folder

# Number of copies that a Spark task writes at a time. Several, because the latency of a store exceeds the transfer time
# of an image. Not more, because all tasks write at a time, and a store throttles clients with too many requests.
WRITERS = 8

COPIED_COLUMNS = "path STRING, file STRING, content BINARY, error STRING, transient BOOLEAN"
_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("file", pa.string()),
        ("content", pa.binary()),
        ("error", pa.string()),
        ("transient", pa.bool_()),
    ]
)


def copy(destination: Folder, batch: str) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that writes copies.

    Its input columns are path, content_sha256, content, shown (whether the report shows the image) and metadata. It
    yields `COPIED_COLUMNS` for each copy; content is null unless the image is shown. After a failed write it yields one
    row with the error, and stops.

    Args:
        destination: Folder that contains the folders of all batches.
        batch: Name of the batch.
    """

    def write(row: dict[str, pa.Scalar]) -> dict[str, Any]:
        path, content = row["path"].as_py(), row["content"].as_py()
        content_sha256 = row["content_sha256"].as_py()
        file = copy_name(content_sha256, path, image_format(content) or "")
        destination.write(f"{batch}/{file}", content, dict(row["metadata"].as_py()) | {"sha256": content_sha256})
        return {"path": path, "file": file, "content": content if row["shown"].as_py() else None, "error": None}

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        with ThreadPoolExecutor(WRITERS) as pool:
            for images in batches:
                # Arrow scalars: each thread converts only its own image to bytes, which limits memory.
                rows = (dict(zip(images.schema.names, values, strict=True)) for values in zip(*images, strict=True))
                try:
                    copied = list(pool.map(write, rows))
                except (InputError, TransientError) as error:
                    failed = {"error": str(error), "transient": isinstance(error, TransientError)}
                    yield pa.RecordBatch.from_pylist([failed], schema=_SCHEMA)
                    return
                yield pa.RecordBatch.from_pylist(copied, schema=_SCHEMA)

    return run
