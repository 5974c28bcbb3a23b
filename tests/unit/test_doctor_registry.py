"""The doctor on MLflow: the server, the champion and its history."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from mlflow import MlflowClient

from components.errors import InputError, TransientError
from components.registry.champion import replace_champion
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG, TRAINING_SET_URI_TAG
from components.settings import Settings
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.registry import check_registry, server
from tests.support.tracking import make_tracking

MODEL = "digits"


@pytest.mark.parametrize("query", ["", "?timeout=5"])
def test_missing_database_is_a_warning_and_is_not_created(tmp_path: Path, query: str) -> None:
    settings = Settings(model_name=MODEL, mlflow_tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}{query}")

    (found,) = check_registry(Context(settings))

    assert found.level is Level.WARNING
    assert found.what == f"mlflow_tracking_uri: database '{settings.mlflow_tracking_uri}' does not exist yet."
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(lake=str(tmp_path / "lake"), model_name=MODEL, mlflow_tracking_uri=make_tracking(tmp_path)))


def register(context: Context, **tags: str) -> None:
    client = MlflowClient(context.settings.mlflow_tracking_uri, context.settings.mlflow_tracking_uri)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, "file:///any", tags=tags)


def serious(findings: Iterator[Finding]) -> list[str]:
    return [each.what for each in findings if each.level is not Level.OK]


def test_model_without_a_champion_is_a_warning(context: Context) -> None:
    (found,) = check_registry(context)

    assert (found.level, found.what) == (Level.WARNING, f"model_name: '{MODEL}' has no champion.")


def test_recorded_champion_is_ok(context: Context) -> None:
    register(context, **{DIGEST_TAG: "0123"})
    replace_champion(ModelRegistry.open(context.settings), "1")

    assert serious(check_registry(context)) == []


def test_alias_that_was_moved_in_mlflow_itself_is_a_warning(context: Context) -> None:
    register(context, **{DIGEST_TAG: "0123"})
    ModelRegistry.open(context.settings).set_alias(CHAMPION, "1")

    (found,) = serious(check_registry(context))

    assert found.startswith("model_name: the alias of version 1 was moved outside of the pipelines")


def test_champion_without_a_digest_or_training_set_is_an_error(context: Context, tmp_path: Path) -> None:
    register(context, **{TRAINING_SET_URI_TAG: (tmp_path / "gone").as_uri()})
    replace_champion(ModelRegistry.open(context.settings), "1")

    digest, training_set = serious(check_registry(context))

    assert digest == "model_name: version 1 has no digest, so scoring can't verify its files."
    assert training_set.endswith("' of version 1 is gone, so imports fail.")


@contextmanager
def server_with_status(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize(
    ("status", "kind", "sentence"),
    [
        (401, InputError, r"refuses access \(401\)\. Add the host to MLFLOW_"),
        (403, InputError, r"refuses access \(403\)\. Add the host to MLFLOW_"),
        (404, InputError, r"is no MLflow server \(404\)\. Correct the URL"),
        (503, TransientError, r"fails \(503\)\. Check the server's log"),
    ],
)
def test_status_of_the_server_says_what_to_do(status: int, kind: type[Exception], sentence: str) -> None:
    with server_with_status(status) as url, pytest.raises(kind, match=sentence):
        list(server(url))


def test_server_that_does_not_respond_is_named_at_once() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(
            TransientError, match=rf"^mlflow_tracking_uri: '{url}' does not respond \(ConnectionError\)"
        ):
            list(server(url))
