"""Accuracy with the batches and the learning rate of 2, 4 and 8 ranks."""

import random
import statistics
from collections.abc import Iterable, Sequence

from benchmarks.bench import Bench
from benchmarks.results import Direction, Goal, Row
from benchmarks.timing import Spread
from components.training_set.manifest import SplitName
from tests.support import training_set_factory

_TRAINING_IMAGES, _VALIDATION_IMAGES = 900, 897
_RANKS = (2, 4, 8)
_SEEDS = 5


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the accuracy on images that are not in the training split."""
    images = training_set_factory.digits(_TRAINING_IMAGES + _VALIDATION_IMAGES)
    # scikit-learn has them in the order of their writers.
    random.Random(0).shuffle(images)
    members = training_set_factory.make_training_set(
        bench.make_folder("more-ranks"),
        {SplitName.TRAIN: images[:_TRAINING_IMAGES], SplitName.VALIDATION: images[_TRAINING_IMAGES:]},
        segments=8,
    )
    run = bench.trainer_contenders("more_ranks", training_set=members.uri, ranks=[1, *_RANKS], seeds=_SEEDS)
    accuracies = {ranks: [100 * float(run(f"{ranks} {seed}")) for seed in range(_SEEDS)] for ranks in (1, *_RANKS)}
    for ranks in _RANKS:
        yield _row(ranks, accuracies[ranks], accuracies[1])


def _row(ranks: int, ours: Sequence[float], one_rank: Sequence[float]) -> Row:
    below = statistics.mean(one_rank) - statistics.mean(ours)
    return Row(
        name="accuracy of more ranks",
        size=f"{ranks} ranks, {_TRAINING_IMAGES} digits, {_VALIDATION_IMAGES} held out",
        unit="%",
        ours=Spread.of(ours),
        reference=Spread.of(one_rank),
        ratio=Spread.of([below]),
        goal=Goal(direction=Direction.AT_MOST, value=1),
        how="Ours trains the small network for 12 epochs in one process, with the model, optimizer and learning rate of"
        f" train_classifier, 32 images per rank in a batch, and {_SEEDS} seeds. The reference's column shows one rank."
        " The ratio's column shows the difference of the means, one rank's minus ours, in percentage points.",
        details={"mean, %": _mean(ours), "mean of one rank, %": _mean(one_rank)},
    )


def _mean(values: Sequence[float]) -> str:
    error = statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} with a standard error of {error:.2f}"
