"""Read data files of `images` in this process. For a few files, a query of Spark takes longer."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from components.lake.content import groups_of
from components.storage.access import Access
from components.storage.stores import open_store

_THREADS = 4


def read_rows(data_files: Sequence[str], columns: Sequence[str], access: Access) -> pa.Table:
    """Return all rows of some data files, in the order of the files.

    Args:
        data_files: URIs of the files, at least one.
        columns: Names of the columns to read.
        access: Addresses and credentials of their store.
    """

    def read(data_file: str) -> pa.Table:
        with open_store(data_file, access).open_ranges(data_file) as source:
            return pq.ParquetFile(source, pre_buffer=True).read(list(columns))

    with ThreadPoolExecutor(_THREADS) as threads:
        return pa.concat_tables(threads.map(read, data_files))


def read_contents(data_files: Sequence[str], paths: Sequence[str], access: Access) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of images.

    Args:
        data_files: URIs of the files that hold the images.
        paths: Paths of the images, each of which the files hold once.
        access: Addresses and credentials of the files' store.
    """
    wanted = set(paths)
    for data_file in data_files:
        with open_store(data_file, access).open_ranges(data_file) as source:
            parquet = pq.ParquetFile(source)
            for group in groups_of(parquet.metadata, sorted(wanted)):
                rows = parquet.read_row_group(group, ["path", "content"])
                for path, content in zip(rows["path"].to_pylist(), rows["content"], strict=True):
                    if path in wanted:
                        wanted.remove(path)
                        yield path, content.as_py()
        if not wanted:
            return
