"""Files of weights: identified by their content, verified before use, and stored in the lake."""

import hashlib
import re
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import pytest
from typer.testing import CliRunner

from components.errors import InputError
from components.storage.files import Files
from components.train_classifier.lake_weights import put
from components.train_classifier.request import TrainingRequest, run_key
from components.train_classifier.weights import content_sha256, fetch
from pipelines.cli import app

LAYERS = ["block1_conv1", "block14_sepconv2"]
GIVEN = {
    "training_set": "file:///set",
    "mlflow_tracking_uri": "sqlite:///mlflow.db",
    "experiment": "e",
    "run_directory": "file:///run",
    "features_directory": "file:///features",
}


def saved(file: Path, layers: list[str], group: str = "/", kernel: float = 0.0) -> Path:
    """Write a file in the format of Keras, with one weight."""
    file.parent.mkdir(exist_ok=True)
    with h5py.File(file, "w") as content:
        place = content.require_group(group)
        place.attrs["layer_names"] = [name.encode() for name in layers]
        place["kernel"] = kernel
    return file


def request_with(weights: str, **values: Any) -> TrainingRequest:
    return TrainingRequest.make(Files(), **GIVEN, **values, weights=weights)


def test_copy_of_a_weights_file_gives_the_same_training(tmp_path: Path) -> None:
    first, other = saved(tmp_path / "a.h5", LAYERS), saved(tmp_path / "b ü%20" / "c.h5", LAYERS)
    other.write_bytes(first.read_bytes())

    by_path, by_uri, elsewhere = (request_with(weights) for weights in (str(first), first.as_uri(), f"file:{other}"))

    assert by_path == by_uri
    assert by_path.weights == f"file://{first}"
    assert elsewhere.weights == f"file://{other}"
    assert run_key("set", by_path) == run_key("set", elsewhere)
    assert by_path.hyperparameters == elsewhere.hyperparameters
    assert by_path.hyperparameters["weights"] == f"sha256:{hashlib.sha256(first.read_bytes()).hexdigest()}"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("imagenett", "^weights: 'imagenett' is unknown. Give 'imagenet', 'none', or"),
        ("folder/a.h5", "^weights: 'folder/a.h5' is neither an absolute path nor a URI"),
        ("http://host/a.h5", "^weights: scheme 'http' of 'http://host/a.h5' is not supported"),
        ("{folder}", "^weights: file '{folder}' not found"),
        ("file://{folder}/a.h5", "^weights: file '{folder}/a.h5' not found"),
    ],
)
def test_invalid_weights_raise_error_before_any_work(tmp_path: Path, weights: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("{folder}", re.escape(str(tmp_path)))):
        request_with(weights.replace("{folder}", str(tmp_path)))


def test_weights_file_is_read_in_blocks(tmp_path: Path) -> None:
    file = tmp_path / "large.h5"
    with file.open("wb") as content:
        content.truncate(64 * 2**20)
    sha256 = hashlib.sha256(bytes(64 * 2**20)).hexdigest()

    tracemalloc.start()
    try:
        assert content_sha256(file.as_uri(), Files()) == sha256
        fetch(file.as_uri(), sha256, tmp_path / "copy", Files())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20
    assert (tmp_path / "copy").stat().st_size == 64 * 2**20


def test_fetch_of_a_file_that_was_replaced_since_submission_raises_error(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.h5", LAYERS)
    sha256 = content_sha256(file.as_uri(), Files())
    saved(file, LAYERS, kernel=1.0)

    with pytest.raises(InputError, match=r"^weights: the content of '.*a\.h5' changed after"):
        fetch(file.as_uri(), sha256, tmp_path / "copy", Files())


def test_put_is_idempotent_and_replaces_other_content(tmp_path: Path) -> None:
    lake = (tmp_path / "lake").as_uri()
    file = saved(tmp_path / "a.h5", LAYERS)

    first, second = put(file, lake, "imagenet", Files()), put(file, lake, "imagenet", Files())

    stored = tmp_path / "lake" / "weights" / "xception-imagenet.h5"
    assert stored.read_bytes() == file.read_bytes()
    assert first.uri == stored.as_uri()
    assert first.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (first.is_new, second.is_new) == (True, False)
    assert put(saved(file, LAYERS, kernel=1.0), lake, "imagenet", Files()).is_new
    assert stored.read_bytes() == file.read_bytes()
    assert [file.name for file in stored.parent.iterdir()] == [stored.name]


def test_put_accepts_the_file_of_a_whole_model(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.h5", LAYERS, group="model_weights")

    assert put(file, (tmp_path / "lake").as_uri(), "imagenet", Files()).is_new


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an HDF5 file"),
        (b"no weights", "is not an HDF5 file"),
        (["dense"], "does not hold the weights of xception"),
        ([*LAYERS, "predictions"], "includes the top of the network"),
        (None, "not found"),
    ],
)
def test_put_of_other_content_than_the_backbones_weights_raises_error(
    tmp_path: Path, content: bytes | list[str] | None, message: str
) -> None:
    file = tmp_path / "a.h5"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content:
        saved(file, content)

    with pytest.raises(InputError, match=rf"^weights: .*{message}"):
        put(file, (tmp_path / "lake").as_uri(), "imagenet", Files())
    assert not (tmp_path / "lake").exists()


@pytest.mark.parametrize("name", ["", "none", "../x", "a/b", "A", "-"])
def test_put_with_an_invalid_name_raises_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"^--as: invalid name '{name}'"):
        put(saved(tmp_path / "a.h5", LAYERS), (tmp_path / "lake").as_uri(), name, Files())


def test_command_prints_uri_and_sha256_of_the_weights(tmp_path: Path) -> None:
    file = saved(tmp_path / "a.h5", LAYERS)
    command = ["weights", "put", str(file), "--lake", str(tmp_path / "lake")]

    first, second = (CliRunner().invoke(app, command) for _ in range(2))

    stored = f"file://{tmp_path}/lake/weights/xception-imagenet.h5"
    assert first.output.startswith(f"Written: {stored}, ")
    assert hashlib.sha256(file.read_bytes()).hexdigest() in first.output
    assert second.output.startswith(f"Unchanged, because the content is the same: {stored}")
