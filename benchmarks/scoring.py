"""Scoring: images/s from Delta to predictions, with Xception."""

from collections.abc import Iterable
from functools import partial

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.images import photographs
from benchmarks.lakes import insert_images
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import interleave, seconds
from components.registry.champion import require_champion
from components.score_images.score import score_lake

_SIZES = (64, 256)
_ROUNDS = 2
_FORWARD_IMAGES = 32


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of a run of scoring."""
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

    # The workers load the model, both compile.
    score(8)
    forward()
    for count in _SIZES:
        measured = interleave({OURS: partial(score, count), Against.LIMIT: forward}, _ROUNDS)
        yield make_row(
            measured, Against.LIMIT, name="scoring", size=f"{count} new images of 400 x 300", unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=0.85),
            how="score_lake in a warm session, from the rows of `images` to those of `predictions`, Xception at"
            " 299 x 299 with random weights, beside the forward pass of the same networks on batches of 32 images"
            " that are in memory, decoded and resized, in one process with all cores",
        )  # fmt: skip
