"""Streams: once over what is new, or until somebody ends them."""

import signal
from collections.abc import Callable
from threading import Event

from pyspark.sql import DataFrame

_POLL_SECONDS = 1


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
    """
    writer = rows.writeStream.foreachBatch(write).option("checkpointLocation", checkpoint)
    if not continuous_interval:
        writer.trigger(availableNow=True).start().awaitTermination()
        return
    ending = Event()
    previous = signal.signal(signal.SIGTERM, lambda *_: ending.set())
    try:
        query = writer.trigger(processingTime=continuous_interval).start()
        while not query.awaitTermination(_POLL_SECONDS):
            if ending.is_set() and not query.status["isTriggerActive"]:
                query.stop()
    finally:
        signal.signal(signal.SIGTERM, previous)
