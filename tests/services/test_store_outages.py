"""Servers that are unavailable while a task runs: the task retries, and succeeds or fails with one sentence."""

import io
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.storage.blob import ContainerClient, ExponentialRetry
from kfp import dsl
from PIL import Image
from tenacity import wait_none

from components import task
from components.build_training_set.component import build_training_set
from components.errors import InputError, TransientError
from components.ingest_images.component import ingest_images
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage.access import Access
from components.storage.blob_folder import BlobFolder
from components.storage.files import Files
from components.storage.stores import open_store
from components.task import run_task
from tests.support.dropping_proxy import DroppingProxy
from tests.support.servers import Azurite, S3Server

BUCKET = "s3a://outages"


@pytest.fixture(autouse=True)
def termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The termination log. Clients do not retry, and there is no pause between tries."""
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setattr(task, "TERMINATION_LOG", file)
    monkeypatch.setattr(task, "PAUSE", wait_none())
    monkeypatch.setattr("components.storage.access._S3_ATTEMPTS", 1)
    monkeypatch.setattr("components.storage.blob_folder._RETRIES", ExponentialRetry(retry_total=0, retry_connect=0))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    return file


def closed_proxy(url: str) -> DroppingProxy:
    """Return a proxy to a server that does not accept connections yet."""
    parts = urlsplit(url)
    proxy = DroppingProxy((str(parts.hostname), parts.port or 80))
    proxy.close()
    return proxy


@pytest.fixture
def back_for_the_second_try(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that opens a proxy when the first try has failed."""

    def arrange(proxy: DroppingProxy) -> None:
        def pause(state: Any) -> float:
            if state.attempt_number == 1:
                proxy.open()
            return 0

        monkeypatch.setattr(task, "PAUSE", pause)

    return arrange


@pytest.fixture
def s3_proxy(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DroppingProxy]:
    """A proxy to the S3 server that the settings name. It does not accept connections yet."""
    with closing(closed_proxy(s3.url)) as proxy:
        environment = s3.environment | {
            "IMAGE_PIPELINES_S3_ENDPOINT": f"http://127.0.0.1:{proxy.port}",
            "IMAGE_PIPELINES_LOCK": str(tmp_path / "locks"),
            "IMAGE_PIPELINES_SPARK_MASTER": "local[2]",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield proxy


def tries(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"Try (\d) of 3 failed", text)]


@pytest.mark.usefixtures("spark")
def test_ingest_succeeds_when_its_store_returns_for_the_second_attempt(
    s3: S3Server,
    s3_proxy: DroppingProxy,
    back_for_the_second_try: Any,
    caplog: pytest.LogCaptureFixture,
    termination_log: Path,
    tmp_path: Path,
) -> None:
    s3.make_bucket("outages")
    image = io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    direct = Access.of(Settings.load(s3_endpoint=s3.url))
    open_store(BUCKET, direct).write(f"{BUCKET}/landing/001.a/1.png", image.getvalue())
    back_for_the_second_try(s3_proxy)

    outputs = ingest_images.python_func(
        dsl.HTML(uri=str(tmp_path / "report.html")),
        f"{BUCKET}/landing",
        f"{BUCKET}/lake",
        ingest_options={"glob": "*.png"},
    )

    assert outputs[:3] == (1, 1, 0)
    assert tries(caplog.text) == [1]
    assert termination_log.read_text() == ""


@pytest.mark.usefixtures("spark", "s3_proxy")
def test_absent_store_ends_the_third_attempt_with_a_sentence(
    caplog: pytest.LogCaptureFixture, termination_log: Path, tmp_path: Path
) -> None:
    sentence = (
        rf"^'{BUCKET}/lake': the store does not answer \(EndpointConnectionError\)\. Check that .* 3 tries failed\."
    )

    with pytest.raises(TransientError, match=sentence) as raised:
        build_training_set.python_func(dsl.HTML(uri=str(tmp_path / "report.html")), f"{BUCKET}/lake")

    assert tries(caplog.text) == [1, 2]
    assert termination_log.read_text() == str(raised.value)


def test_bad_input_ends_the_first_attempt(
    caplog: pytest.LogCaptureFixture, termination_log: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^lake: ") as raised:
        build_training_set.python_func(dsl.HTML(uri=str(tmp_path / "report.html")), "ftp://outages/lake")

    assert tries(caplog.text) == []
    assert termination_log.read_text() == str(raised.value)


def test_labeling_store_is_read_when_it_returns_for_the_second_attempt(
    azurite: Azurite, container: ContainerClient, back_for_the_second_try: Any, caplog: pytest.LogCaptureFixture
) -> None:
    container.upload_blob("labels/a.csv", b"path,label")
    with closing(closed_proxy(azurite.blob_url)) as proxy:
        server = urlsplit(azurite.blob_url).netloc
        connection = azurite.connection_string.replace(server, f"127.0.0.1:{proxy.port}")
        url = container.url.replace(server, f"127.0.0.1:{proxy.port}")
        folder = BlobFolder.parse(f"{url}/labels", "source", Settings(azure_storage_connection_string=connection))
        with pytest.raises(TransientError, match=r"^source: '.*' can't be reached \(ServiceRequestError\)\."):
            folder.read("a.csv")
        back_for_the_second_try(proxy)

        assert run_task(lambda: folder.read("a.csv")) == b"path,label"

    assert tries(caplog.text) == [1]


def test_mlflow_server_that_returns_for_the_second_attempt_is_used(
    mlflow_server: str, back_for_the_second_try: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(closed_proxy(mlflow_server)) as proxy:
        back_for_the_second_try(proxy)
        registry = ModelRegistry(f"http://127.0.0.1:{proxy.port}", "never-registered")

        assert run_task(registry.champion) is None

    assert tries(caplog.text) == [1]


def test_absent_mlflow_server_ends_the_task_with_one_line(termination_log: Path) -> None:
    with closing(closed_proxy("http://127.0.0.1:1")) as proxy:
        registry = ModelRegistry(f"http://127.0.0.1:{proxy.port}", "m")

        with pytest.raises(
            TransientError, match=r"MlflowException: API request .* 3 tries failed\. Run this step again"
        ):
            run_task(registry.champion)

    assert termination_log.read_text().count("\n") == 0


@pytest.mark.usefixtures("s3_proxy")
def test_unknown_host_of_the_store_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setenv("IMAGE_PIPELINES_S3_ENDPOINT", "http://mistyped.example:9000")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(InputError, match=r"the request failed \(EndpointConnectionError\)\. Check s3_endpoint"):
        Files.of(Settings.load()).exists(f"{BUCKET}/lake")


def test_missing_credentials_are_bad_input(monkeypatch: pytest.MonkeyPatch, s3: S3Server, tmp_path: Path) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_S3_ENDPOINT", s3.url)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))

    with pytest.raises(InputError, match=r"the request failed \(NoCredentialsError\)\. Check s3_endpoint"):
        Files.of(Settings.load()).exists(f"{BUCKET}/lake")
