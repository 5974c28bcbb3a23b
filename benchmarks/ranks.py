"""Ranks: two with one core each, beside one with one core."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from benchmarks.bench import Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import interleave
from benchmarks.training_set import make_training_set
from components.build_training_set.training_set import SplitName, TrainingSet
from components.train_classifier.train import train

# Side of the input, and images of the training.
_SIZES = ((96, 640), (224, 320))
_VALIDATION = 64
# The first one, in which the graph is made, does not count.
_EPOCHS = 2
_ROUNDS = 2


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of the epochs of a training."""
    for side, number in _SIZES:
        images = photographs(number + _VALIDATION, side, side)
        train_images = images[_VALIDATION:]
        splits = {SplitName.TRAIN: train_images, SplitName.VALIDATION: images[:_VALIDATION]}
        training = _Training(bench, make_training_set(bench.folder / f"ranks-{side}", splits, files=2), side)
        measured = interleave(
            {OURS: partial(training.rate, ranks=2), Against.REFERENCE: partial(training.rate, ranks=1)}, _ROUNDS
        )
        yield make_row(
            measured, Against.REFERENCE, name="two ranks",
            size=f"{len(train_images):,} images, small network at {side} x {side}", unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=1.8),
            how="the second epoch of a training, validation included, by train_classifier's local launcher on two"
            " cores, a thread for each rank, beside one rank kept to one core; 32 images of each rank in a step",
        )  # fmt: skip


class _Training:
    """A training of the small network, another one each time.

    Args:
        bench: The run.
        members: What is trained on.
        side: Side of the input, in pixels.
    """

    def __init__(self, bench: Bench, members: TrainingSet, side: int) -> None:
        self._settings = bench.settings("ranks")
        self._members = members
        self._side = side
        self._seeds = count()

    def rate(self, ranks: int) -> float:
        """Train, and return images/s of all ranks."""
        with _cores(ranks):
            _, result = train(
                self._settings, self._members.uri, backbone="small", image_size=self._side, learning_rate=0.002,
                epochs=_EPOCHS, patience=0, ranks=ranks, seed=next(self._seeds),
            )  # fmt: skip
        last = result.history[-1]
        return last.images / last.seconds


@contextmanager
def _cores(number: int) -> Iterator[None]:
    """Keep what this thread starts to so many cores."""
    all_cores = os.sched_getaffinity(0)
    if len(all_cores) < number:
        raise RuntimeError(f"{number} cores are needed, and there are {len(all_cores)}")
    os.sched_setaffinity(0, sorted(all_cores)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
