"""The doctor against real servers: each kind of store and queue, MLflow, and Kubeflow Pipelines' API."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from pydantic import SecretStr
from typer.testing import CliRunner

from components.ingest_images.discovery.events import poison_folder
from components.ingest_images.discovery.open_queue import open_queue
from components.settings import Settings
from components.storage.files import Files
from pipelines.cli import app
from pipelines.doctor.clocks import check_clocks
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.kubeflow import check_kubeflow
from pipelines.doctor.queues import queue_of
from pipelines.doctor.registry import check_registry
from pipelines.doctor.settings import check_settings
from pipelines.doctor.stores import check_stores
from tests.services.kfp_server import KfpServer, running_kfp_server
from tests.support.event_queues import EVENT_QUEUES, EventQueue
from tests.support.lake_stores import LakeStore
from tests.support.servers import Azurite, S3Server

BUCKET = "doctor"


@pytest.fixture(scope="module", autouse=True)
def bucket(s3: S3Server) -> None:
    s3.make_bucket(BUCKET)


def on_s3(s3: S3Server, key: str = "", secret: str = "", **settings: str) -> Settings:
    return Settings(
        s3_endpoint=s3.url,
        s3_access_key=SecretStr(key or s3.access_key),
        s3_secret_key=SecretStr(secret or s3.secret_key),
        **settings,  # type: ignore[arg-type]
    )


def serious(findings: Iterator[Finding]) -> list[str]:
    return [f"{each.what} {each.remedy}" for each in findings if each.level is not Level.OK]


@pytest.fixture
def lake_on_store(lake_store: LakeStore, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Settings:
    """Settings of a lake that does not exist yet, in an empty bucket of each store."""
    for name, value in lake_store.environment.items():
        monkeypatch.setenv(name, value)
    bucket = "doctor-" + request.node.name.partition("[")[0][-40:].replace("_", "-").strip("-")
    lake_store.make_bucket(bucket)
    return Settings.load(lake=f"{lake_store.scheme}://{bucket}/lake")


def test_lake_in_a_store_is_probed_and_left_as_it_was(lake_on_store: Settings) -> None:
    files, bucket = Files.of(lake_on_store), lake_on_store.lake.removesuffix("/lake")
    files.write_bytes(f"{bucket}/a file", b"content")
    before = files.find(bucket)

    found = list(check_stores(Context(lake_on_store, write=True)))

    assert serious(iter(found)) == [
        f"lake: no lake at '{lake_on_store.lake}' yet. Run the training pipeline, or `image-pipelines lake create`."
    ]
    assert any("does not replace an existing one" in each.what for each in found)
    assert files.find(bucket) == before


def test_key_that_may_only_read_is_an_error_with_the_option_only(s3: S3Server) -> None:
    settings = on_s3(s3, s3.reader_access_key, s3.reader_secret_key, labeling_destination=f"s3a://{BUCKET}/to-label")

    assert serious(check_stores(Context(settings))) == []
    (found,) = serious(check_stores(Context(settings, write=True)))
    assert found.startswith(f"labeling_destination: 's3a://{BUCKET}/to-label/_doctor-")
    assert "access is refused" in found


def test_missing_bucket_is_an_error_of_its_setting(s3: S3Server) -> None:
    (found,) = serious(check_stores(Context(on_s3(s3, lake="s3a://no-such-bucket/lake"))))

    assert found.startswith("lake: 's3a://no-such-bucket/lake': bucket or container not found.")


def test_unreachable_store_does_not_stop_the_other_folders(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    settings = Settings(
        s3_endpoint="http://127.0.0.1:9",
        s3_access_key=SecretStr("any"),
        s3_secret_key=SecretStr("any"),
        lake=f"s3a://{BUCKET}/lake",
        unlabeled_source=str(tmp_path / "new"),
    )

    lake, source = serious(check_stores(Context(settings)))

    assert lake.startswith(f"lake: 's3a://{BUCKET}/lake': the store does not answer")
    assert source.startswith("unlabeled_source: ")


def test_destination_in_a_container_is_checked_and_never_written(azurite: Azurite, container: ContainerClient) -> None:
    settings = Settings(
        azure_storage_connection_string=SecretStr(azurite.connection_string),
        labeling_destination=f"{azurite.blob_url}/{container.container_name}/to-label",
    )

    found = list(check_stores(Context(settings, write=True)))

    assert serious(iter(found)) == []
    assert "was not written" in found[-1].what
    assert list(container.list_blob_names()) == []


def test_clocks_of_servers_on_this_machine_agree(lake_on_store: Settings, mlflow_server: str) -> None:
    settings = lake_on_store.model_copy(update={"mlflow_tracking_uri": mlflow_server})

    found = list(check_clocks(Context(settings)))

    assert [each.level for each in found] == [Level.OK, Level.OK]


@pytest.fixture(params=EVENT_QUEUES)
def landing(request: pytest.FixtureRequest) -> EventQueue:
    """A landing folder with each kind of queue."""
    name = "doctor-" + request.node.name.partition("[")[0][-40:].replace("_", "-").strip("-")
    return EVENT_QUEUES[request.param](request, name)


def with_lake(landing: EventQueue, lake: Path) -> Context:
    """Return a context with a local lake, and with access to a landing folder and its queue."""
    return Context(Settings(lake=str(lake), **vars(landing.store.access)))


def test_messages_of_a_queue_are_counted_if_its_service_counts_them_and_stay(
    landing: EventQueue, tmp_path: Path
) -> None:
    context, source = with_lake(landing, tmp_path / "lake"), landing.store.source
    landing.send([landing.event(landing.bucket, "landing/a.jpg")])
    context.files.write_text(f"{poison_folder(context.root, source)}/1.jsonl", "{}\n")
    queue = open_queue(landing.url, source, context.files.access)
    counted = queue.count()

    waiting, poison = queue_of(context, source, landing.url, "daily.queue")

    if counted is None:
        assert waiting.what == "daily.queue: its messages can be received. The service does not count them."
    else:
        assert (counted, waiting.what) == (1, "daily.queue: about 1 messages are waiting.")
    assert poison.what.startswith(
        f"daily.queue: ingest set aside messages that are not events of '{source}', in 1 files"
    )
    assert len(queue.receive()) == 1


def test_missing_queue_is_an_error(landing: EventQueue, tmp_path: Path) -> None:
    context = with_lake(landing, tmp_path / "lake")

    with pytest.raises(ValueError, match=rf"^queue: '{landing.url}-none' not found \(\S+\)\."):
        list(queue_of(context, landing.store.source, f"{landing.url}-none", "daily.queue"))


def test_mlflow_server_without_a_champion_is_a_warning(mlflow_server: str) -> None:
    settings = Settings(mlflow_tracking_uri=mlflow_server, model_name="of-the-doctor")

    responds, champion = check_registry(Context(settings))

    assert responds.what == f"mlflow_tracking_uri: '{mlflow_server}' responds."
    assert champion.level is Level.WARNING


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    """An empty server of Kubeflow Pipelines, set in the environment."""
    for name in [name for name in os.environ if name.startswith("KF_PIPELINES_")]:
        monkeypatch.delenv(name)
    # KFP's client stores the last namespace here.
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with running_kfp_server() as running:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", running.url)
        yield running


def schedule_file(folder: Path, parameters: dict[str, object]) -> Path:
    path = folder / "schedules.yaml"
    entry = {"name": "daily", "pipeline": "scoring", "cron": "0 0 2 * * *", "parameters": parameters}
    path.write_text(json.dumps({"schedules": [entry]}))
    return path


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_server_without_pipelines_and_recurring_runs_is_named_and_not_written(server: KfpServer) -> None:
    found = serious(check_kubeflow(Context(Settings())))

    assert [each.split(":")[0] for each in found] == [
        "pipeline image-training",
        "pipeline image-scoring",
        "pipeline image-labeling",
        "pipeline image-maintenance",
        "recurring runs",
    ]
    assert server.writes == []


def test_server_that_matches_the_file_has_no_finding(server: KfpServer, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, {"threshold": 0.9})
    run("upload")
    run("schedule", "apply", "--file", str(file))

    assert serious(check_kubeflow(Context(Settings(), file=file))) == []


def test_server_that_differs_from_the_file_is_a_warning(server: KfpServer, tmp_path: Path) -> None:
    run("upload")
    run("schedule", "apply", "--file", str(schedule_file(tmp_path, {"threshold": 0.9})))

    (found,) = serious(check_kubeflow(Context(Settings(), file=schedule_file(tmp_path, {"threshold": 0.8}))))

    assert found.startswith("daily: the server differs from ")


def test_parameters_of_the_server_s_recurring_runs_are_checked(
    server: KfpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("upload", "scoring")
    run("schedule", "apply", "--file", str(schedule_file(tmp_path, {"source": "s3a://bucket/lake/new"})))
    for name, value in {
        "IMAGE_PIPELINES_LAKE": "s3a://bucket/lake",
        "IMAGE_PIPELINES_LABELING_DESTINATION": "s3a://bucket/to-label",
        "IMAGE_PIPELINES_TRAINER_PYTHON": "python3",
        "MLFLOW_TRACKING_URI": "http://localhost:5000",
    }.items():
        monkeypatch.setenv(name, value)

    (found,) = serious(check_settings(Context(Settings.load())))

    assert found.startswith("daily: 's3a://bucket/lake/new' lies in lake 's3a://bucket/lake'")


def test_server_that_does_not_respond_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", "http://127.0.0.1:9")

    result = CliRunner().invoke(app, ["doctor", "kubeflow"])

    assert result.exit_code == 1
    assert "ERROR   endpoint: http://127.0.0.1:9 can't be reached." in result.output
