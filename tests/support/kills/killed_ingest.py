"""An ingest that is killed after its commit to `images`, before `files` has any of its files, as a process.

Run in the repository's root as: python -m tests.support.kills.killed_ingest LAKE SOURCE
"""

import os
import signal
import sys
from typing import TYPE_CHECKING

from components.ingest_images.ingest import ingest_folder
from components.lake import Lake, Table
from components.lake.tables import FILES
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class _Lake(Lake):
    def append(
        self, table: Table, rows: "DataFrame", transaction: tuple[str, int] | None = None, metadata: str = ""
    ) -> None:
        if table is FILES:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(table, rows, transaction, metadata)


def main() -> None:
    root, source = sys.argv[1:]
    lake = _Lake(spark_session(Settings.load(spark_master="local[2]")), root)
    ingest_folder(lake, uri.normalize(source, "source"), labeled=False)


if __name__ == "__main__":
    main()
