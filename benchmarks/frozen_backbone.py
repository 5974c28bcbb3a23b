"""A training with a frozen backbone, of 12 epochs on one rank."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from benchmarks.bench import Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import Measured, Spread, interleave
from benchmarks.training_set import make_training_set
from components.training_set.manifest import SplitName

# Side of the input, and images of both splits: whole batches, or the reference's way alone would work on what fills
# them up.
_SIZES = ((71, 256, 64), (299, 32, 16))
_ROUNDS = 2
_BATCH = 8
# Rounding: the two ways evaluate the backbone on other batches.
_SAME = 1.001


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the epochs of an hour."""
    for side, train, validation in _SIZES:
        images = photographs(train + validation, 400, 300)
        members = make_training_set(
            bench.folder / f"frozen-{side}",
            {SplitName.TRAIN: images[:train], SplitName.VALIDATION: images[train:]},
            files=2,
        )
        losses: dict[str, list[float]] = {}
        run = bench.contenders("frozen_backbone", training_set=members.uri, size=side, batch=_BATCH)
        names = (OURS, Against.REFERENCE)
        measured = interleave({name: partial(_epochs_an_hour, run, name, losses) for name in names}, _ROUNDS)
        size = f"Xception at {side} x {side}, {train} + {validation} images"
        yield make_row(
            measured, Against.REFERENCE, name="training with a frozen backbone", size=size, unit="epochs/h",
            goal=Goal(direction=Direction.AT_LEAST, value=8),
            how=f"features of all images computed by FeatureFeed and the head trained on them for {len(losses[OURS])}"
            f" epochs, from nothing, beside {len(losses[Against.REFERENCE])} epochs, each of which costs the same, of"
            " the same head behind the same backbone with random weights, fed with the same images by the same feed;"
            " both compiled before",
        )  # fmt: skip
        yield _curves(losses, size)


def _epochs_an_hour(run: Callable[[str], Any], name: str, losses: dict[str, list[float]]) -> float:
    answer = run(name)
    losses[name] = answer["losses"]
    return len(answer["losses"]) * 3600 / float(answer["seconds"])


def _curves(losses: dict[str, list[float]], size: str) -> Row:
    """Return how far the loss curves are apart."""
    epochs = len(losses[Against.REFERENCE])
    measured = Measured({name: each[:epochs] for name, each in losses.items()})
    pairs = zip(measured.values[OURS], measured.values[Against.REFERENCE], strict=True)
    apart = [max(a / b, b / a) for a, b in pairs]
    return Row(
        name="training with a frozen backbone, its loss curve",
        size=size,
        unit="",
        ours=measured.spread(OURS),
        reference=measured.spread(Against.REFERENCE),
        # The worst epoch counts.
        ratio=Spread(median=max(apart), low=min(apart), high=max(apart), repeats=len(apart)),
        goal=Goal(direction=Direction.AT_MOST, value=_SAME),
        how=f"the training loss of the first {epochs} epochs of the same trainings, without dropout and in the files'"
        " order, the greater over the less; the worst epoch counts",
    )
