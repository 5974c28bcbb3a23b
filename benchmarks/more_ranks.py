"""More ranks: the accuracy of trainings with the batches and the learning rate of 2, 4 and 8, beside one rank."""

import random
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.bench import Bench
from benchmarks.results import Direction, Goal, Row
from benchmarks.timing import Spread
from components.training_set.manifest import SplitName
from tests.support import training_set_factory

_TRAINED, _HELD_OUT = 900, 897
_RANKS = (2, 4, 8)
_SEEDS = 5


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the accuracy on images that no training saw."""
    images = training_set_factory.digits(_TRAINED + _HELD_OUT)
    # Their order is that of the people who wrote them.
    random.Random(0).shuffle(images)
    members = training_set_factory.make_training_set(
        bench.place("more-ranks"),
        {SplitName.TRAIN: images[:_TRAINED], SplitName.VALIDATION: images[_TRAINED:]},
        files=8,
    )
    run = bench.contenders("more_ranks", training_set=members.uri, ranks=[1, *_RANKS], seeds=_SEEDS)
    accuracies = {ranks: [100 * float(run(f"{ranks} {seed}")) for seed in range(_SEEDS)] for ranks in (1, *_RANKS)}
    for ranks in _RANKS:
        yield _row(ranks, accuracies[ranks], accuracies[1])


def _row(ranks: int, ours: Sequence[float], one_rank: Sequence[float]) -> Row:
    below = statistics.mean(one_rank) - statistics.mean(ours)
    return Row(
        name="accuracy of more ranks",
        size=f"{ranks} ranks, {_TRAINED} digits, {_HELD_OUT} held out",
        unit="%",
        ours=Spread.of(ours),
        reference=Spread.of(one_rank),
        ratio=Spread.of([below]),
        goal=Goal(direction=Direction.AT_MOST, value=1),
        how=f"the small network trained for 12 epochs by the model, optimizer and learning rate of train_classifier, in"
        f" one process with a batch of 32 images for each rank, {_SEEDS} seeds, beside one rank; in place of the ratio,"
        " the points that the mean is below one rank's",
        beside={"mean, %": _mean(ours), "mean of one rank, %": _mean(one_rank)},
    )


def _mean(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} with a standard error of {error:.2f}"
