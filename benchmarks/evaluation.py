"""Evaluation by a model that has classified 99 of 100 test images before."""

from collections.abc import Iterable
from time import monotonic

from benchmarks.bench import Bench
from benchmarks.champion import make_champion
from benchmarks.images import photographs
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements
from benchmarks.training_set import make_training_set
from components.evaluate_classifier.evaluate import CHALLENGER, Challenger, evaluate_challenger
from components.registry.champion import require_champion
from components.training_set.manifest import SplitName, TrainingSet

_IMAGES = 1_000
_NEW_IMAGES = 10
_ROUNDS = 2
_SIZE = 96
# As a build writes them.
_ROWS = 128


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the images that a second evaluation classifies, and its seconds."""
    settings = bench.settings("evaluation")
    lake = bench.lake("evaluation")
    registry, _ = make_champion(bench, settings, "small", _SIZE)
    champion = require_champion(registry)
    model = Challenger(champion.run_id, champion.model_uri, champion.digest)

    def evaluate(training_set: TrainingSet) -> tuple[int, float]:
        started = monotonic()
        result = evaluate_challenger(lake, registry, training_set, model)
        return result.new_images[CHALLENGER], monotonic() - started

    def make(name: str, first: int, count: int, earlier: TrainingSet | None = None) -> TrainingSet:
        images = {SplitName.TEST: photographs(count, 400, 300, first)}
        return make_training_set(bench.folder / "evaluation" / name, images, _ROWS, earlier)

    # Load the model in the workers.
    evaluate(make("warm", 0, 8))
    images: dict[str, list[float]] = {OURS: [], Baseline.REFERENCE: []}
    seconds: dict[str, list[float]] = {OURS: [], Baseline.REFERENCE: []}
    for number in range(_ROUNDS):
        first = 8 + number * (_IMAGES + _NEW_IMAGES)
        earlier = make(f"first-{number}", first, _IMAGES)
        later = make(f"second-{number}", first + _IMAGES, _NEW_IMAGES, earlier)
        for contender, training_set in ((Baseline.REFERENCE, earlier), (OURS, later)):
            new_images, duration = evaluate(training_set)
            images[contender].append(new_images)
            seconds[contender].append(duration)
    took = Measurements(seconds)
    yield make_row(
        Measurements(images), Baseline.REFERENCE, name="evaluation after 1 % more labels",
        size=f"{_IMAGES:,} test images of 400 x 300", unit="images",
        goal=Goal(direction=Direction.AT_MOST, value=0.01),
        how="Ours are the images that the champion classifies in a second evaluation, after 1 % more test images. The"
        " reference's column has those of the first evaluation, also ours, which classifies all of them.",
        details={
            "seconds of the first evaluation": f"{took.spread(Baseline.REFERENCE).median:.1f}",
            "seconds of the second evaluation": f"{took.spread(OURS).median:.1f}",
        },
    )  # fmt: skip
