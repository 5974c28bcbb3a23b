"""Weights in a lake in each store: stored, streamed for their digest, downloaded and verified by the ranks."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.errors import InputError
from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.environment import rank_environment
from components.train_classifier.train import train
from components.train_classifier.weights import content_sha256, fetch
from components.training_set.manifest import SplitName
from pipelines.cli import app
from tests.support.lake_stores import S3_FIRST, LakeStore
from tests.support.paths import TRAINER_PYTHON
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import make_training_set, photographs

SAVE = """
import sys
from tensorflow import keras
shape = (71, 71, 3)
keras.applications.Xception(include_top=False, weights=None, input_shape=shape, pooling="avg").save_weights(sys.argv[1])
"""


@pytest.fixture(scope="module")
def settings(lake_store: LakeStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of an installation on a store, without other network."""
    folder = tmp_path_factory.mktemp("installation")
    with pytest.MonkeyPatch.context() as patch:
        environment = {
            **lake_store.environment,
            "IMAGE_PIPELINES_LAKE": f"{lake_store.scheme}://weights/a lake",
            "IMAGE_PIPELINES_LOCK": str(folder / "locks"),
            "IMAGE_PIPELINES_MLFLOW_TRACKING_URI": make_tracking(folder),
            "IMAGE_PIPELINES_TRAINER_PYTHON": str(TRAINER_PYTHON),
            "HOME": str(folder),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        }
        for name, value in environment.items():
            patch.setenv(name, value)
        lake_store.make_bucket("weights")
        yield Settings.load()


@pytest.mark.parametrize("lake_store", S3_FIRST, indirect=True)
def test_training_takes_imagenet_weights_from_a_lake_in_a_store(settings: Settings, tmp_path: Path) -> None:
    file, stored = tmp_path / "xception.h5", f"{settings.lake}/weights/xception-imagenet.h5"
    subprocess.run([TRAINER_PYTHON, "-c", SAVE, file], check=True, env=rank_environment(os.environ))
    written = CliRunner().invoke(app, ["weights", "put", str(file)])
    assert written.exit_code == 0, written.output
    assert written.output.startswith(f"Written: {stored}, ")
    assert content_sha256(file.as_uri(), Files()) in written.output
    parts = photographs(3)
    training_set = make_training_set(tmp_path / "set", {SplitName.TRAIN: parts[:2], SplitName.VALIDATION: parts[2:]})

    asked, result = train(settings, training_set.uri, image_size=71, epochs=1)

    assert asked.weights == stored
    assert asked.weights_sha256 == content_sha256(stored, Files.of(settings))
    assert result.features_computed == 3


def test_replaced_weights_file_in_a_store_is_refused(settings: Settings, tmp_path: Path) -> None:
    file, files = f"{settings.lake}/other.h5", Files.of(settings)
    files.write_bytes(file, b"first")
    sha256 = content_sha256(file, files)
    files.write_bytes(file, b"other")

    with pytest.raises(InputError, match=rf"^weights: the content of '{file}' changed after"):
        fetch(file, sha256, tmp_path / "copy", files)


@pytest.mark.parametrize("missing", ["weights/a lake/none.h5", "no-such-bucket/a.h5", "weights/a lake/weights"])
def test_missing_weights_file_in_a_store_is_named(settings: Settings, lake_store: LakeStore, missing: str) -> None:
    file = f"{lake_store.scheme}://{missing}"
    # One of the missing ones is a folder.
    Files.of(settings).write_bytes(f"{settings.lake}/weights/other.h5", b"content")

    with pytest.raises(InputError, match=rf"^weights: file '{file}' not found\."):
        content_sha256(file, Files.of(settings))
