"""Scoring with Xception: images/s from rows of `images` to predictions."""

from collections.abc import Iterable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.images import photographs
from benchmarks.lakes import insert_images
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import interleave, seconds
from components.registry.champion import require_champion
from components.score_images.score import score_lake

_SIZES = (64, 256)
_ROUNDS = 2
_FORWARD_IMAGES = 32


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the images/s of scoring."""
    settings = bench.settings("scoring")
    lake = bench.lake("scoring")
    registry, forward = make_champion(bench, settings, "xception", 0, _FORWARD_IMAGES)
    version = require_champion(registry)
    first = 0

    def score(count: int) -> float:
        nonlocal first
        insert_images(lake, photographs(count, 400, 300, first), first)
        first += count
        return count / seconds(lambda: score_lake(lake, registry, version))

    # Load the model in the workers, and compile both networks.
    score(8)
    forward()
    for count in _SIZES:
        measured = interleave({OURS: partial(score, count), Baseline.LIMIT: forward}, _ROUNDS)
        yield make_row(
            measured, Baseline.LIMIT, name="scoring", size=f"{count} new images of 400 x 300", unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=0.85),
            how="Ours is score_lake in a warm session, from rows of `images` to rows of `predictions`, with Xception at"
            " 299 x 299 and random weights. The limit is the forward pass of the same networks in one process with all"
            " cores, on batches of 32 decoded and resized images in memory.",
        )  # fmt: skip
