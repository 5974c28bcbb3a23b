"""A program that writes classes into a lake, with a commit for each: `class_writer.py FIRST COUNT`.

After the first commit, which takes longer than the others, it prints `ready` and waits for a line.
"""

import sys
import time

from components.lake import Lake
from components.lake.tables import CLASSES, PEOPLE
from components.lock.file_lock import POLL_SECONDS
from components.settings import Settings
from components.spark.frames import frame
from components.spark.session import spark_session


def write(lake: Lake, first: int, count: int) -> None:
    """Insert each class with a separate MERGE."""
    for label in range(first, first + count):
        row = [(label, f"class {label}", None, PEOPLE)]
        lake.insert_new(CLASSES, frame(lake.spark, row, CLASSES.columns))
        # Without a pause, this process would acquire the lock again before the other one polls it.
        time.sleep(2 * POLL_SECONDS)


if __name__ == "__main__":
    settings = Settings.load()
    opened = Lake.open(spark_session(settings), settings)
    first, count = map(int, sys.argv[1:])
    write(opened, first, 1)
    print("ready", flush=True)
    sys.stdin.readline()
    write(opened, first + 1, count - 1)
