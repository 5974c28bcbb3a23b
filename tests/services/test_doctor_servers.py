"""The doctor against real servers: S3, Azure Blob, SQS, Azure's queues, MLflow, and Kubeflow Pipelines' API."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient
from pydantic import SecretStr
from typer.testing import CliRunner

from components.ingest_images.discovery.clients import aws_client
from components.ingest_images.discovery.events import poison_folder
from components.settings import Settings
from components.storage.access import Access
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
from tests.support.servers import AzureQueues, Azurite, S3Server

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


def keys(s3: S3Server) -> list[str]:
    listed = aws_client("s3", Access.of(on_s3(s3))).list_objects_v2(Bucket=BUCKET)
    return [each["Key"] for each in listed.get("Contents", [])]


def test_lake_on_s3_is_probed_and_left_as_it_was(s3: S3Server) -> None:
    settings = on_s3(s3, lake=f"s3a://{BUCKET}/lake")
    before = keys(s3)

    found = list(check_stores(Context(settings, write=True)))

    assert serious(iter(found)) == [
        f"lake: no lake at 's3a://{BUCKET}/lake' yet. Run the training pipeline, or `image-pipelines lake create`."
    ]
    assert any("does not replace an existing one" in each.what for each in found)
    assert keys(s3) == before


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


def test_clocks_of_servers_on_this_machine_agree(s3: S3Server, mlflow_server: str) -> None:
    settings = on_s3(s3, lake=f"s3a://{BUCKET}/lake", mlflow_tracking_uri=mlflow_server)

    found = list(check_clocks(Context(settings)))

    assert [each.level for each in found] == [Level.OK, Level.OK]


def test_waiting_and_poison_messages_of_sqs_are_counted(s3: S3Server, sqs: str) -> None:
    context = Context(on_s3(s3, lake=f"s3a://{BUCKET}/lake"))
    source = f"s3a://{BUCKET}/new"
    client = aws_client("sqs", context.files.access, endpoint_url=sqs)
    client.create_queue(QueueName="doctor")
    url = f"{sqs}/000000000000/doctor"
    client.send_message(QueueUrl=url, MessageBody="{}")
    context.files.write_text(f"{poison_folder(context.root, source)}/1.jsonl", "{}\n")

    waiting, poison = queue_of(context, source, url, "daily.queue")

    assert waiting.what == "daily.queue: about 1 messages are waiting."
    assert poison.what.startswith(
        f"daily.queue: ingest set aside messages that are no events of '{source}', in 1 files"
    )
    context.files.remove_folder(poison_folder(context.root, source))


def test_missing_queue_of_azure_is_an_error(azure_queues: AzureQueues, tmp_path: Path) -> None:
    settings = Settings(lake=str(tmp_path), azure_account_key=SecretStr(azure_queues.account_key))
    source = "abfss://landing@devstoreaccount1.dfs.core.windows.net/new"
    url = f"{azure_queues.url}/missing"
    key = AzureNamedKeyCredential("devstoreaccount1", azure_queues.account_key)
    assert QueueClient.from_queue_url(url, key).queue_name == "missing"

    with pytest.raises(ValueError, match=r"^queue: '.*' not found \(QueueNotFound\)\."):
        list(queue_of(Context(settings), source, url, "daily.queue"))


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
