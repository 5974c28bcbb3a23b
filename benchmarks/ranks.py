"""Ranks: two with one core each, beside one with one core."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from benchmarks.bench import TRAINER_PYTHON, Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Against, Direction, Goal, Row, make_row
from benchmarks.timing import Measured, take_turns
from benchmarks.training_set import make_training_set
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.request import REQUEST_FILE, RESULT_FILE, TrainingRequest, TrainingResult
from components.training_set.manifest import SplitName, TrainingSet

# Side of the input, and images of the training.
_SIZES = ((96, 512), (224, 256))
_VALIDATION = 64
# The first one, in which the graph is made, does not count.
_EPOCHS = 2
_ROUNDS = 2


def measure(bench: Bench) -> Iterable[Row]:
    """Measure images/s of the epochs of a training."""
    trainings = _Trainings(bench)
    turns = take_turns(
        {OURS: partial(trainings.rates, ranks=2), Against.REFERENCE: partial(trainings.rates, ranks=1)}, _ROUNDS
    )
    for position, (side, number) in enumerate(_SIZES):
        yield make_row(
            Measured({name: [rates[position] for rates in each] for name, each in turns.items()}),
            Against.REFERENCE, name="two ranks",
            size=f"{number:,} images, small network at {side} x {side}", unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=1.8),
            how="the second epoch of a training, validation included, by train_classifier's worker and local launcher"
            " on two cores, a thread for each rank, beside one rank kept to one core; 32 images of each rank in a step;"
            " one launch trains at both sizes",
        )  # fmt: skip


class _Trainings:
    """Trainings of the small network, at each size.

    Args:
        bench: The run.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._settings = bench.settings("ranks")
        self._files = Files.of(self._settings)
        self._members = [_members(bench, side, number) for side, number in _SIZES]
        self._launches = count()

    def rates(self, ranks: int) -> list[float]:
        """Train at each size, and return images/s of all ranks for each."""
        folder = uri.join(uri.normalize(str(self._bench.folder), "folder"), f"launch-{next(self._launches)}")
        requests = [
            self._request(members, side, ranks, uri.join(folder, str(side)))
            for members, (side, _) in zip(self._members, _SIZES, strict=True)
        ]
        written = [uri.join(request.run_directory, REQUEST_FILE) for request in requests]
        for request, request_uri in zip(requests, written, strict=True):
            request.write(request_uri, self._files)
        listed = uri.join(folder, "requests.json")
        self._files.write_text(listed, json.dumps(written))
        with _cores(ranks):
            LocalLauncher(TRAINER_PYTHON, self._files, worker="benchmarks.trainer.ranks").launch(listed, ranks)
        return [self._rate(request) for request in requests]

    def _request(self, members: TrainingSet, side: int, ranks: int, run_directory: str) -> TrainingRequest:
        return TrainingRequest.make(
            self._files, training_set=members.uri, backbone="small", image_size=side, learning_rate=0.002,
            epochs=_EPOCHS, patience=0, ranks=ranks, mlflow_tracking_uri=self._settings.mlflow_tracking_uri,
            experiment="ranks", run_directory=run_directory, features_directory="unused",
        )  # fmt: skip

    def _rate(self, request: TrainingRequest) -> float:
        result_uri = uri.join(request.run_directory, RESULT_FILE)
        last = TrainingResult.model_validate_json(self._files.read_text(result_uri)).history[-1]
        return last.images / last.seconds


def _members(bench: Bench, side: int, number: int) -> TrainingSet:
    images = photographs(number + _VALIDATION, side, side)
    splits = {SplitName.TRAIN: images[_VALIDATION:], SplitName.VALIDATION: images[:_VALIDATION]}
    return make_training_set(bench.folder / f"ranks-{side}", splits, files=2)


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
