"""A tracking server that is unavailable for a while."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from components.preprocessing.digest import folder_digest
from components.registry.champion import require_champion
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.settings import Settings
from components.train_classifier.train import train
from components.training_set.manifest import SplitName
from tests.support.paths import TRAINER_PYTHON
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.servers import running_mlflow
from tests.support.training_set_factory import digits, make_training_set


def test_scoring_waits_for_an_absent_server_and_gets_the_champion(tmp_path: Path) -> None:
    with running_mlflow(tmp_path) as url:
        registry = ModelRegistry(url, "away")
        model = log_classifier(url, None, constant_classifier((3, 5), 5))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
        registry.set_alias(CHAMPION, "1")

    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        # The server takes seconds to start. The requests come before that.
        port = int(url.rpartition(":")[2])
        back = pool.submit(lambda: stack.enter_context(running_mlflow(tmp_path, port)))
        assert not back.done()
        champion = require_champion(ModelRegistry(url, "away"))
        folder = registry.download(champion.model_uri, champion.digest, tmp_path / "downloaded")
        assert back.result() == url

    assert folder_digest(folder) == model.digest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_training_waits_a_minute_for_an_absent_server_and_keeps_every_epoch(tmp_path: Path) -> None:
    images, epochs = digits(12), 200
    parts = {SplitName.TRAIN: images[:8], SplitName.VALIDATION: images[8:]}
    training_set = make_training_set(tmp_path / "set", parts)
    with ExitStack() as servers, ThreadPoolExecutor(1) as pool:
        url = servers.enter_context(running_mlflow(tmp_path))
        settings = Settings.load(
            lake=str(tmp_path), mlflow_tracking_uri=url, experiment="away", trainer_python=TRAINER_PYTHON
        )
        parameters: dict[str, Any] = {"backbone": "small", "image_size": 16, "batch_size": 8, "patience": 0}
        training = pool.submit(lambda: train(settings, training_set.uri, epochs=epochs, **parameters)[1])
        before = wait_for_an_epoch(url)
        servers.close()
        time.sleep(60)
        assert not training.done()
        servers.enter_context(running_mlflow(tmp_path, int(url.rpartition(":")[2])))

        result = training.result()
        history = MlflowClient(url).get_metric_history(result.run_id, "val_accuracy")

    assert before < epochs
    assert [each.epoch for each in result.history] == list(range(1, epochs + 1))
    assert len({each.step for each in history}) == epochs


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_outage_of_the_server_after_an_epoch_does_not_cost_the_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without retries, the first request after the outage ends the training.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    images, epochs = digits(12), 200
    split = {SplitName.TRAIN: images[:8], SplitName.VALIDATION: images[8:]}
    training_set = make_training_set(tmp_path / "set", split)
    parameters: dict[str, Any] = {"backbone": "small", "image_size": 16, "batch_size": 8, "patience": 0}
    with ExitStack() as servers, ThreadPoolExecutor(1) as pool:
        url = servers.enter_context(running_mlflow(tmp_path))
        settings = Settings.load(
            lake=str(tmp_path), mlflow_tracking_uri=url, experiment="away", trainer_python=TRAINER_PYTHON
        )
        training = pool.submit(lambda: train(settings, training_set.uri, epochs=epochs, **parameters)[1])
        wait_for_an_epoch(url)
        servers.close()
        with pytest.raises(RuntimeError, match="MlflowException"):
            training.result()
        (folder,) = (tmp_path / "training_runs").iterdir()
        saved = max(int(file.stem.removeprefix("epoch-")) for file in folder.glob("epoch-*.npz"))

        servers.enter_context(running_mlflow(tmp_path, int(url.rpartition(":")[2])))
        run_id = json.loads((folder / "run.json").read_text())["run_id"]
        logged = {each.step for each in MlflowClient(url).get_metric_history(run_id, "images_per_second")}
        # The failed request was that of the last saved epoch.
        assert logged == set(range(saved - 1))

        result = train(settings, training_set.uri, epochs=epochs, **parameters)[1]
        history = MlflowClient(url).get_metric_history(result.run_id, "images_per_second")

    assert result.first_epoch == saved + 1
    assert sorted(each.step for each in history) == list(range(epochs))


def wait_for_an_epoch(url: str) -> int:
    """Wait until a training has logged an epoch, and return the number of logged epochs."""
    client = MlflowClient(url)
    while True:
        experiment = client.get_experiment_by_name("away")
        for run in client.search_runs([experiment.experiment_id]) if experiment else ():
            if history := client.get_metric_history(run.info.run_id, "val_accuracy"):
                return len(history)
        time.sleep(0.2)
