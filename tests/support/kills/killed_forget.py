"""A forget that is killed at a given point, as a process.

Run in the repository's root as: python -m tests.support.kills.killed_forget LAKE DESTINATION PATH POINT
"""

import os
import signal
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO

from components.lake import Lake, Table
from components.lake.tables import FORGOTTEN_CONTENTS, IMAGES
from components.maintain_lake.forget import forget_images
from components.settings import Settings
from components.spark.session import spark_session
from components.storage.files import Files

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


class Point(StrEnum):
    """The point at which the command is killed."""

    BETWEEN_THE_TOMBSTONES = "between the tombstones"
    BEFORE_THE_SEGMENTS = "before the segments"
    BEFORE_THE_ROWS = "before the rows"
    BEFORE_THE_VACUUM = "before the vacuum"


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class _Files(Files):
    point: str = ""

    def open_replacement(self, uri: str) -> AbstractContextManager[BinaryIO]:
        if self.point == Point.BEFORE_THE_SEGMENTS:
            _die()
        return super().open_replacement(uri)


class _Lake(Lake):
    point = ""

    def insert_new(self, table: Table, rows: "DataFrame") -> int:
        if table is FORGOTTEN_CONTENTS and self.point == Point.BETWEEN_THE_TOMBSTONES:
            _die()
        return super().insert_new(table, rows)

    def delete(self, table: Table, condition: "Column") -> None:
        if table is IMAGES and self.point == Point.BEFORE_THE_ROWS:
            _die()
        super().delete(table, condition)
        if table is IMAGES and self.point == Point.BEFORE_THE_VACUUM:
            _die()


def main() -> None:
    root, destination, path, point = sys.argv[1:]
    settings = Settings.load(lake=root, spark_master="local[2]")
    lake = _Lake(spark_session(settings), root, _Files(point=point))
    lake.point = point
    forget_images(lake, settings, [path], [], [destination], now=True)


if __name__ == "__main__":
    main()
