"""Ingest with Daft, in a separate environment: `python -m benchmarks.daft_ingest`.

The argument of a call is a landing folder and a new folder for Parquet files. The result is the number of images.
"""

import hashlib
import json
import sys

import daft
from daft import DataType, Series, col
from daft.functions import decode_image, download

from benchmarks.process import RESULT_PREFIX


def _sha256(contents: Series) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents.to_pylist()]


def ingest_with_daft(landing: str, target: str) -> int:
    """Read, hash and decode files, write the images as Parquet, and count them.

    Args:
        landing: Folder of the files.
        target: New folder for the Parquet files.
    """
    sha256 = daft.func.batch(return_dtype=DataType.string())(_sha256)
    (
        daft.from_glob_path(f"{landing}/*.jpg")
        .with_column("content", download(col("path")))
        .where(decode_image(col("content"), on_error="null").not_null())
        .with_column("content_sha256", sha256(col("content")))
        .write_parquet(target)
    )
    return int(daft.read_parquet(f"{target}/*.parquet").count_rows())


def main() -> None:
    """Serve the calls of a `MeasuringProcess`."""
    for line in sys.stdin:
        landing, target = json.loads(line)
        print(RESULT_PREFIX + json.dumps(ingest_with_daft(landing, target)), flush=True)


if __name__ == "__main__":
    main()
