"""A process of its own that writes classes into a lake, one commit each: `s3_writer.py FIRST COUNT`.

After the first one, which takes longer than the others, it says `ready` and waits for a line.
"""

import sys
import time

from components.lake import Lake, frame, spark_session
from components.lake.lock.file_lock import POLL_SECONDS
from components.lake.tables import CLASSES
from components.settings import Settings


def write(lake: Lake, first: int, count: int) -> None:
    """Insert classes, each by a MERGE of its own."""
    for label in range(first, first + count):
        row = [(label, f"class {label}", None)]
        lake.insert_new(CLASSES, frame(lake.spark, row, CLASSES.columns))
        # Who lets go of the lock would be the first to have it again: the other looks now and then.
        time.sleep(2 * POLL_SECONDS)


if __name__ == "__main__":
    settings = Settings.load()
    opened = Lake.open(spark_session(settings), settings)
    first, count = map(int, sys.argv[1:])
    write(opened, first, 1)
    print("ready", flush=True)
    sys.stdin.readline()
    write(opened, first + 1, count - 1)
