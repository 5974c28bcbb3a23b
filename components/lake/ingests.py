"""Images by their time of ingest. Images of one ingest share files, so a slice opens no other files."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from components.storage import uri
from components.storage.files import Files

# Folder below the lake's root with the plans of ingests that are not complete.
PLANS_FOLDER = "_plans"

# By which the clocks of two machines differ at most, and the time that writing a plan takes.
_CLOCK_SKEW = timedelta(hours=1)
# The condition lists all ingests of a slice; more make it slow to plan.
_INGESTS_PER_SLICE = 1000


def ingest_slices(images: DataFrame, size: Column, maximum: int) -> Iterator[list[int]]:
    """Divide images into slices of whole ingests, oldest first.

    The driver holds the time and the size of each ingest, 16 bytes. They are not streamed, because Spark 4.2 keeps the
    plan of each streamed result until the session ends.

    Args:
        images: Frame with `ingested_at`.
        size: Aggregate that measures the images of an ingest, e.g. their number or their bytes.
        maximum: Maximum size of a slice. A larger ingest is a slice of its own.

    Yields:
        The ingests' times in a slice, in microseconds since 1970.
    """
    ingests = images.groupBy(F.unix_micros("ingested_at").alias("time")).agg(size.alias("size")).toArrow()
    times: list[int] = []
    total = 0
    for batch in ingests.sort_by("time").to_batches():
        for ingest_time, ingest_size in zip(batch["time"].to_pylist(), batch["size"].to_pylist(), strict=True):
            if times and (total + ingest_size > maximum or len(times) == _INGESTS_PER_SLICE):
                yield times
                times, total = [], 0
            times.append(ingest_time)
            total += ingest_size
    if times:
        yield times


def came_in_at(times: Sequence[int]) -> Column:
    """Return whether an image was ingested at one of the times, in microseconds since 1970."""
    return F.col("ingested_at").isin([F.timestamp_micros(F.lit(each)) for each in times])


def settled_until(root: str, files: Files) -> datetime:
    """Return a time up to which all ingests are complete: no image with an earlier `ingested_at` will be added.

    An ingest takes its time when it writes its plan. If it is interrupted, it may be completed days later.

    Args:
        root: Root URI of the lake.
        files: Access to the lake's files.
    """
    planned = [status.modification_time for status in files.find(uri.join(root, PLANS_FOLDER)).values()]
    return min([datetime.now(UTC), *planned]) - _CLOCK_SKEW
