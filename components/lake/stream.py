"""Streams: once over what is new, or again and again until somebody ends them."""

import re
import signal
from collections.abc import Callable
from threading import Event

from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame

from components.errors import InputError

_POLL_SECONDS = 1
# What Spark says of a file of the checkpoint that is empty, as after a power cut, or does not begin as it should.
_DAMAGED = "Failed to read log file"
_INTERVAL = re.compile(r"\s*0*[1-9][0-9]{0,8}\s*(millisecond|second|minute|hour|day)s?\s*", re.IGNORECASE)


def check_interval(interval: str) -> str:
    """Return the time between two looks of a continuous stream, as Spark takes it; empty for one look.

    Raises:
        InputError: It is no such time.
    """
    if interval.strip() and not _INTERVAL.fullmatch(interval):
        raise InputError(
            f"continuous_interval: '{interval}' is no time. Write a whole number and milliseconds, seconds, minutes,"
            " hours or days, as in 1 minute, or leave it empty for one look."
        )
    return interval.strip()


def run_stream(
    rows: DataFrame, write: Callable[[DataFrame, int], None], checkpoint: str, continuous_interval: str = ""
) -> None:
    """Write each batch of a stream, and wait until it ends.

    Args:
        rows: The stream.
        write: Writes a batch, given its number; it may get one again that was cut off.
        checkpoint: URI of what the stream remembers.
        continuous_interval: Time between two looks at the source, as in `1 minute`: the stream goes on until SIGTERM,
            and ends after the batch in hand. Empty for what is there now.

    Raises:
        InputError: The interval is no time, or the checkpoint is damaged.
    """
    interval = check_interval(continuous_interval)
    try:
        _run(rows, write, checkpoint, interval)
    except StreamingQueryException as error:
        if _DAMAGED not in str(error):
            raise
        raise InputError(
            f"checkpoint: '{checkpoint}' is damaged. Remove that folder and run this step again: it looks at everything"
            " once more, which takes time and doubles nothing."
        ) from error


def _run(rows: DataFrame, write: Callable[[DataFrame, int], None], checkpoint: str, interval: str) -> None:
    ending = Event()

    def write_unless_ending(batch: DataFrame, number: int) -> None:
        # A batch that were stopped in the middle would be done again: better not begun.
        if ending.is_set():
            raise InterruptedError(f"batch {number} is left to the next run")
        write(batch, number)

    writer = rows.writeStream.foreachBatch(write_unless_ending).option("checkpointLocation", checkpoint)
    if not interval:
        writer.trigger(availableNow=True).start().awaitTermination()
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        query = writer.trigger(processingTime=interval).start()
        while not query.awaitTermination(_POLL_SECONDS):
            if ending.is_set() and not query.status["isTriggerActive"]:
                query.stop()
    except StreamingQueryException as error:
        if not (ending.is_set() and InterruptedError.__name__ in str(error)):
            raise
    finally:
        signal.signal(signal.SIGTERM, previous)
