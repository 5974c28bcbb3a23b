"""An export that is killed at a point of its way, as a process of its own.

Run as: python killed_export.py <root of the lake> <folder to export to> <point>
"""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from components.export_for_labeling.choice import Choice
from components.export_for_labeling.destinations import Folder
from components.export_for_labeling.export import MANIFEST, export_batch
from components.lake import Lake, Table, spark_session
from components.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COPIES_BEFORE_DEATH = 5


class Point(StrEnum):
    """Where the export dies."""

    BEFORE_THE_REQUESTS = "before the requests"
    BEFORE_THE_COPIES = "before the copies"
    AMONG_THE_COPIES = "among the copies"
    BEFORE_THE_MANIFEST = "before the manifest"
    BEFORE_THE_LAST_NOTE = "before the last note"


class _Lake(Lake):
    def insert_new(self, table: Table, rows: "DataFrame") -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0


@dataclass(frozen=True)
class _Folder(Folder):
    """A folder that kills the driver; the workers, who write the copies, wait until they die with it."""

    point: Point
    driver: int

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:
        if name.endswith(MANIFEST):
            self._die_at(Point.BEFORE_THE_MANIFEST)
            super().write(name, content, about)
            self._die_at(Point.BEFORE_THE_LAST_NOTE)
            return
        self._die_at(Point.BEFORE_THE_COPIES)
        super().write(name, content, about)
        if len(list((self._path / name).parent.glob("*.jpg"))) >= COPIES_BEFORE_DEATH:
            self._die_at(Point.AMONG_THE_COPIES)

    def _die_at(self, point: Point) -> None:
        if self.point == point:
            os.kill(self.driver, signal.SIGKILL)
            threading.Event().wait()


def main() -> None:
    root, folder, point = sys.argv[1:]
    settings = Settings.load(lake=root, spark_master="local[2]")
    kind = _Lake if point == Point.BEFORE_THE_REQUESTS else Lake
    destination = _Folder(f"file://{folder}", Point(point), os.getpid())
    export_batch(kind(spark_session(settings), root), settings, destination, Choice(fraction=1, audit_fraction=0))


if __name__ == "__main__":
    main()
