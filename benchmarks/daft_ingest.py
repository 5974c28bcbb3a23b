"""Ingest by Daft, in an environment of its own: `python -m benchmarks.daft_ingest`.

A question is a landing folder and the folder of the Parquet files; the answer is the number of images.
"""

import hashlib
import json
import sys

import daft
from daft import DataType, Series, col
from daft.functions import decode_image, download

from benchmarks.process import ANSWER


def _sha256(contents: Series) -> list[str]:
    return [hashlib.sha256(content).hexdigest() for content in contents.to_pylist()]


def ingest_by_daft(landing: str, target: str) -> int:
    """Read, hash and decode the files of a folder, write those that are images, and return how many there are.

    Args:
        landing: The folder.
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
    """Answer questions; see `benchmarks.process`."""
    for line in sys.stdin:
        landing, target = json.loads(line)
        print(ANSWER + json.dumps(ingest_by_daft(landing, target)), flush=True)


if __name__ == "__main__":
    main()
