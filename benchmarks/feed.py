"""The training feed: from JPEG rows of Parquet files to tensors, on all cores."""

from collections.abc import Iterable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import interleave
from benchmarks.training_set import make_training_set
from components.training_set.manifest import SplitName

_IMAGES = 256
_ROWS = 32
_INPUT = 299
_SIZES = ((400, 300), (640, 427))
_ROUNDS = 2


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the images/s of a pass."""
    for width, height in _SIZES:
        images = photographs(_IMAGES, width, height)
        members = make_training_set(bench.folder / f"feed-{width}", {SplitName.TRAIN: images}, _ROWS)
        run = bench.trainer_contenders("feed", training_set=members.uri, size=_INPUT)
        measured = interleave(
            {name: partial(run, name) for name in (OURS, Baseline.REFERENCE, Baseline.LIMIT)}, _ROUNDS
        )
        size = f"{_IMAGES} JPEG files of {width} x {height} to {_INPUT} x {_INPUT}"
        how = (
            "Ours is a pass of ImageFeed over Parquet files in batches of 32. The reference reads the same files with"
            " Petastorm's TransformSpec and Pillow: a Lanczos thumbnail on white, the default of 10 threads, and"
            " tf.data's tuner. The limit decodes and resizes files in memory and does nothing else."
        )
        details = {"bytes read in a pass": f"{sum(map(len, images)) / 1e6:.1f} MB, in row groups of {_ROWS}"}
        yield make_row(
            measured, Baseline.REFERENCE, name="training feed", size=size, unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=3), how=how, details=details,
        )  # fmt: skip
        yield make_row(
            measured, Baseline.LIMIT, name="training feed, compared with the limit", size=size, unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=0.8), how="The same passes.",
        )  # fmt: skip
