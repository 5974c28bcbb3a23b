"""Training with a frozen backbone: 12 epochs on one rank."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from benchmarks.bench import Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, Spread, interleave
from benchmarks.training_set import make_training_set
from components.training_set.manifest import SplitName

# Side of the input, training images, validation images. The batches are full, because only the reference would evaluate
# the padding with the whole network.
_SIZES = ((71, 256, 64), (299, 32, 16))
_ROUNDS = 2
_BATCH = 8
# Number of rows in a row group.
_ROWS = 32
# Side of the input at which the backbone takes most of the time, as it does by default.
_RETRAINED_SIDE = 299
# Rounding differs, because the contenders evaluate the backbone on different batches.
_MAXIMUM_LOSS_RATIO = 1.001


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the epochs per hour, and compare the loss curves."""
    for side, train, validation in _SIZES:
        images = photographs(train + validation, 400, 300)
        members = make_training_set(
            bench.folder / f"frozen-{side}",
            {SplitName.TRAIN: images[:train], SplitName.VALIDATION: images[train:]},
            rows=_ROWS,
        )
        grown = make_training_set(
            bench.folder / f"grown-{side}",
            {SplitName.TRAIN: photographs(1, 400, 300, first=train + validation)},
            rows=_ROWS,
            earlier=members,
        )
        losses: dict[str, list[float]] = {}
        run = bench.trainer_contenders(
            "frozen_backbone", training_set=members.uri, grown=grown.uri, size=side, batch=_BATCH
        )
        names = (OURS, Baseline.REFERENCE)
        measured = interleave({name: partial(_epochs_per_hour, run, name, losses) for name in names}, _ROUNDS)
        size = f"Xception at {side} x {side}, {train} + {validation} images"
        yield make_row(
            measured, Baseline.REFERENCE, name="training with a frozen backbone", size=size, unit="epochs/h",
            goal=Goal(direction=Direction.AT_LEAST, value=8),
            how="Ours computes the features of all images with FeatureFeed and an empty cache. Then it trains the head"
            f" on them for {len(losses[OURS])} epochs. The reference trains the same head behind the same backbone for"
            f" {len(losses[Baseline.REFERENCE])} epochs, each of which costs the same. Both get the same images from"
            " the same feed. The backbone has random weights. Both models are compiled before.",
        )  # fmt: skip
        yield _curves(losses, size)
        if side == _RETRAINED_SIDE:
            again = Measurements(
                {
                    OURS: [float(run("retraining")["seconds"]) for _ in range(_ROUNDS)],
                    Baseline.REFERENCE: [len(losses[OURS]) * 3600 / rate for rate in measured.values[OURS]],
                }
            )
            yield make_row(
                again, Baseline.REFERENCE, name="retraining with a frozen backbone", size=f"{size}, and 1 more",
                unit="s", goal=Goal(direction=Direction.AT_MOST, value=0.2),
                how="Ours trains on one more training image, with the features of the other images in the lake. The"
                " reference's column shows the first training of the row above, with an empty folder of features.",
            )  # fmt: skip


def _epochs_per_hour(run: Callable[[str], Any], name: str, losses: dict[str, list[float]]) -> float:
    result = run(name)
    losses[name] = result["losses"]
    return len(result["losses"]) * 3600 / float(result["seconds"])


def _curves(losses: dict[str, list[float]], size: str) -> Row:
    """Return the ratio of the loss curves, epoch by epoch."""
    epochs = len(losses[Baseline.REFERENCE])
    measured = Measurements({name: curve[:epochs] for name, curve in losses.items()})
    pairs = zip(measured.values[OURS], measured.values[Baseline.REFERENCE], strict=True)
    ratios = [max(a / b, b / a) for a, b in pairs]
    return Row(
        name="training with a frozen backbone: loss curve",
        size=size,
        unit="",
        ours=measured.spread(OURS),
        reference=measured.spread(Baseline.REFERENCE),
        # The goal applies to the worst epoch.
        ratio=Spread(median=max(ratios), low=min(ratios), high=max(ratios), repeats=len(ratios)),
        goal=Goal(direction=Direction.AT_MOST, value=_MAXIMUM_LOSS_RATIO),
        how=f"The training loss of the first {epochs} epochs of the same trainings, without dropout and in the order of"
        " the files. The ratio is the greater loss over the lesser, in the worst epoch.",
    )
