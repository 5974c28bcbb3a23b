"""Servers that the tests in this folder share. Each starts when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.services.servers import Azurite, running_azurite, running_mlflow


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
