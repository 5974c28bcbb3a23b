"""A real cluster, through KUBECONFIG: each test has a namespace of its own there, which is deleted with all in it."""

import uuid
from collections.abc import Iterator

import pytest
from kubernetes import client

from components.cluster.api import api_client
from components.container_images import ContainerImages
from tests.cluster.namespace import Namespace


@pytest.fixture(scope="session")
def cluster() -> client.ApiClient:
    """The cluster's API, with all rights."""
    return api_client()


@pytest.fixture(scope="session")
def trainer_image() -> str:
    """An image that the nodes have, with Open MPI and sshd; IMAGE_PIPELINES_TRAINER_IMAGE names another."""
    return ContainerImages().trainer_image


@pytest.fixture
def namespace(cluster: client.ApiClient) -> Iterator[Namespace]:
    """A namespace that enforces the pod security standard `restricted`, where nothing is yet."""
    made = Namespace.create(cluster, f"image-pipelines-{uuid.uuid4().hex[:8]}")
    yield made
    made.delete()
