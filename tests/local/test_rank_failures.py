"""The error of a task whose first rank failed."""

import json
from pathlib import Path

import pytest

from components.errors import InputError, TransientError
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.train_classifier.request import FAILURE_FILE
from components.train_classifier.train import train
from components.training_set.manifest import SplitName
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits, make_training_set


class FailingRanks:
    """A launcher whose first rank fails.

    Args:
        failure: The error as the rank writes it.
    """

    def __init__(self, failure: dict[str, object]) -> None:
        self._failure = failure

    def clean_up(self, request_uri: str) -> bool:
        return True

    def launch(self, request_uri: str, ranks: int) -> None:
        Files().write_text(uri.join(request_uri.rpartition("/")[0], FAILURE_FILE), json.dumps(self._failure))
        raise RuntimeError("mpirun ended with exit code 1")


@pytest.mark.parametrize(
    ("kind", "transient", "error", "message"),
    [
        ("InputError", False, InputError, r"^weights: no file\.$"),
        (
            "TransientError",
            True,
            TransientError,
            r"^rank 1 of the training failed: TransientError: weights: no file\.$",
        ),
        ("KeyError", False, RuntimeError, r"^rank 1 of the training failed: KeyError: weights: no file\.$"),
    ],
)
def test_failure_of_a_rank_raises_its_error(
    tmp_path: Path, kind: str, transient: bool, error: type[Exception], message: str
) -> None:
    images = digits(4)
    split = {SplitName.TRAIN: images[:2], SplitName.VALIDATION: images[2:]}
    training_set = make_training_set(tmp_path / "set", split)
    settings = Settings.load(lake=str(tmp_path), mlflow_tracking_uri=make_tracking(tmp_path), experiment="outages")
    failure = {"kind": kind, "message": "weights: no file.", "rank": 1, "transient": transient}

    with pytest.raises(error, match=message) as raised:
        train(settings, training_set.uri, FailingRanks(failure), backbone="small")

    assert type(raised.value) is error
