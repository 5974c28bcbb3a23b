"""An export that is killed at a given point, as a process.

Run in the repository's root as: python -m tests.support.kills.killed_export LAKE DESTINATION POINT
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from components.export_for_labeling.export import export_batch
from components.labeling.batches import MANIFEST
from components.lake import Lake, Table
from components.lake.tables import LABELING_REQUESTS
from components.parameters import Choice
from components.settings import Settings
from components.spark.session import spark_session
from components.storage.access import Access
from components.storage.store_folder import StoreFolder
from tests.support.scored_lake import SUCCESSION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COPIES_BEFORE_DEATH = 5


class Point(StrEnum):
    """The point at which the export is killed."""

    BEFORE_THE_REQUESTS = "before the requests"
    BEFORE_THE_COPIES = "before the copies"
    AMONG_THE_COPIES = "among the copies"
    BEFORE_THE_MANIFEST = "before the manifest"
    BEFORE_THE_LAST_NOTE = "before the last note"


class _Lake(Lake):
    def append(
        self, table: Table, rows: "DataFrame", transaction: tuple[str, int] | None = None, metadata: str = ""
    ) -> None:
        if table is LABELING_REQUESTS:
            os.kill(os.getpid(), signal.SIGKILL)
        super().append(table, rows, transaction, metadata)


@dataclass(frozen=True)
class _Folder(StoreFolder):
    """A folder whose writes kill the driver. The workers, which write the copies, wait until they end with it."""

    point: Point
    driver: int

    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        if name.endswith(MANIFEST):
            self._die_at(Point.BEFORE_THE_MANIFEST)
            super().write(name, content, metadata)
            self._die_at(Point.BEFORE_THE_LAST_NOTE)
            return
        self._die_at(Point.BEFORE_THE_COPIES)
        super().write(name, content, metadata)
        if len(list(Path(self.uri.removeprefix("file://"), name).parent.glob("*.jpg"))) >= COPIES_BEFORE_DEATH:
            self._die_at(Point.AMONG_THE_COPIES)

    def _die_at(self, point: Point) -> None:
        if self.point == point:
            os.kill(self.driver, signal.SIGKILL)
            threading.Event().wait()


def main() -> None:
    root, folder, point = sys.argv[1:]
    settings = Settings.load(lake=root, spark_master="local[2]")
    kind = _Lake if point == Point.BEFORE_THE_REQUESTS else Lake
    destination = _Folder("destination", f"file://{folder}", Access.of(settings), Point(point), os.getpid())
    choice = Choice(fraction=1, audit_fraction=0)
    export_batch(kind(spark_session(settings), root), settings, destination, SUCCESSION, choice)


if __name__ == "__main__":
    main()
