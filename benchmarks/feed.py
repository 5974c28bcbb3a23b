"""The feed of a training: JPEG rows of Parquet files to tensors, on all cores."""

from collections.abc import Iterable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import interleave
from benchmarks.training_set import make_training_set
from components.training_set.manifest import SplitName

_IMAGES = 256
_FILES = 8
_INPUT = 299
_SIZES = ((400, 300), (640, 427))
_ROUNDS = 2


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of a pass."""
    for width, height in _SIZES:
        images = photographs(_IMAGES, width, height)
        members = make_training_set(bench.folder / f"feed-{width}", {SplitName.TRAIN: images}, _FILES)
        measure_way = bench.contenders("feed", training_set=members.uri, size=_INPUT)
        measured = interleave(
            {name: partial(measure_way, name) for name in (OURS, Against.REFERENCE, Against.LIMIT)}, _ROUNDS
        )
        size = f"{_IMAGES} JPEG files of {width} x {height} to {_INPUT} x {_INPUT}"
        how = (
            "a pass of ImageFeed over Parquet files in batches of 32, beside Petastorm's TransformSpec with Pillow"
            " (thumbnail by Lanczos on white, its default of 10 threads and tf.data's tuner) over the same files, and"
            " beside the same decoding and resizing alone, of files that are in memory"
        )
        read = {"bytes read in a pass": f"{sum(map(len, images)) / 1e6:.1f} MB, in {_FILES} files"}
        yield make_row(
            measured, Against.REFERENCE, name="training feed", size=size, unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=3), how=how, beside=read,
        )  # fmt: skip
        yield make_row(
            measured, Against.LIMIT, name="training feed, of decoding and resizing alone", size=size, unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=0.8), how="the same passes",
        )  # fmt: skip
