"""Servers that the tests in this folder share. Each starts when the first test asks for it."""

import re
from collections.abc import Iterator

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from tests.support.lake_stores import LAKE_STORES, LakeStore
from tests.support.servers import (
    AzureQueues,
    Azurite,
    GcsServer,
    PubSubServer,
    S3Server,
    running_azure_queues,
    running_azurite,
    running_gcs,
    running_mlflow,
    running_pubsub,
    running_s3,
    running_sqs,
)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Tracking and registry URI of an MLflow server with proxied artifacts."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow-server")) as url:
        yield url


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """An Azure Blob store."""
    with running_azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def azure_queues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureQueues]:
    """A service of Azure's queues."""
    with running_azure_queues(tmp_path_factory.mktemp("azure-queues")) as server:
        yield server


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Endpoint of an SQS server."""
    with running_sqs(tmp_path_factory.mktemp("sqs")) as url:
        yield url


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcsServer]:
    """A server of Google Cloud Storage."""
    with running_gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def pubsub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PubSubServer]:
    """A server of Google Pub/Sub."""
    with running_pubsub(tmp_path_factory.mktemp("pubsub")) as server:
        yield server


@pytest.fixture(scope="module", params=LAKE_STORES)
def lake_store(request: pytest.FixtureRequest) -> LakeStore:
    """Each store that can have a lake."""
    return LAKE_STORES[request.param](request)


@pytest.fixture
def container(azurite: Azurite, request: pytest.FixtureRequest) -> ContainerClient:
    """A new container, empty."""
    name = "c-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[-50:].strip("-")
    return BlobServiceClient.from_connection_string(azurite.connection_string).create_container(name)
