"""Two ranks with one core each, compared with one rank with one core."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count

from benchmarks.bench import TRAINER_PYTHON, Bench
from benchmarks.images import photographs
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements, take_turns
from benchmarks.training_set import make_training_set
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.local_launcher import LocalLauncher
from components.train_classifier.request import REQUEST_FILE, RESULT_FILE, TrainingRequest, TrainingResult
from components.training_set.manifest import SplitName, TrainingSet

# Side of the input, training images.
_SIZES = ((96, 512), (224, 256))
_VALIDATION = 64
# Number of rows in a row group. It divides the numbers of images, so that both ranks have the same number of images.
_ROWS = 32
# Only the last epoch counts: the first one also builds the graph.
_EPOCHS = 2
_ROUNDS = 2


def measure(bench: Bench) -> Iterable[Row]:
    """Measure the images/s of an epoch."""
    trainings = _Trainings(bench)
    turns = take_turns(
        {OURS: partial(trainings.run, ranks=2), Baseline.REFERENCE: partial(trainings.run, ranks=1)}, _ROUNDS
    )
    for position, (side, number) in enumerate(_SIZES):
        yield make_row(
            Measurements({name: [rates[position] for rates in rounds] for name, rounds in turns.items()}),
            Baseline.REFERENCE, name="two ranks",
            size=f"{number:,} images, small network at {side} x {side}", unit="images/s",
            goal=Goal(direction=Direction.AT_LEAST, value=1.8),
            how="The values are for the second epoch of a training, including validation. train_classifier's worker and"
            " local launcher run it. Ours has two ranks on two cores, with one thread each. The reference's column"
            " shows one rank on one core. A step has 32 images per rank. One launch trains at both sizes.",
        )  # fmt: skip


class _Trainings:
    """Trainings of the small network, at all sizes.

    Args:
        bench: The run.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._settings = bench.settings("ranks")
        self._files = Files.of(self._settings)
        self._members = [_make_members(bench, side, number) for side, number in _SIZES]
        self._launches = count()

    def run(self, ranks: int) -> list[float]:
        """Train at each size, and return the images/s of all ranks, by size."""
        folder = uri.join(uri.normalize(str(self._bench.folder), "folder"), f"launch-{next(self._launches)}")
        requests = [
            self._request(members, side, ranks, uri.join(folder, str(side)))
            for members, (side, _) in zip(self._members, _SIZES, strict=True)
        ]
        request_uris = [uri.join(request.run_directory, REQUEST_FILE) for request in requests]
        for request, request_uri in zip(requests, request_uris, strict=True):
            request.write(request_uri, self._files)
        list_uri = uri.join(folder, "requests.json")
        self._files.write_text(list_uri, json.dumps(request_uris))
        with _cores(ranks):
            LocalLauncher(TRAINER_PYTHON, self._files, worker="benchmarks.trainer.ranks").launch(list_uri, ranks)
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


def _make_members(bench: Bench, side: int, number: int) -> TrainingSet:
    images = photographs(number + _VALIDATION, side, side)
    splits = {SplitName.TRAIN: images[_VALIDATION:], SplitName.VALIDATION: images[:_VALIDATION]}
    return make_training_set(bench.folder / f"ranks-{side}", splits, rows=_ROWS)


@contextmanager
def _cores(number: int) -> Iterator[None]:
    """Limit the processes that this thread starts to a number of cores."""
    all_cores = os.sched_getaffinity(0)
    if len(all_cores) < number:
        raise RuntimeError(f"the benchmark needs {number} cores, and this process may use {len(all_cores)}")
    os.sched_setaffinity(0, sorted(all_cores)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_cores)
