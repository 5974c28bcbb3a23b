"""A real cluster, which KUBECONFIG names. Tests have namespaces of their own there, which are deleted afterwards."""

import base64
import os
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from kubernetes import client
from pyspark.sql import SparkSession

from components.cluster.api import api_client
from components.container_images import ContainerImages
from components.settings import Settings
from components.spark.session import spark_session
from tests.cluster.namespace import Namespace
from tests.cluster.store import BUCKET
from tests.cluster.task_runs import TaskRuns
from tests.support.kubectl import RUNNER, apply, kubectl
from tests.support.kubectl import namespace as new_namespace
from tests.support.kustomize import installation
from tests.support.servers import S3Server, running_s3

# URL of Kubeflow Pipelines' own store in the standalone overlay.
_STORE = "http://seaweedfs:9000"

# One small node has room for two of these executors, two drivers and MLflow.
_EXECUTORS = {
    "IMAGE_PIPELINES_SPARK_DRIVER_MEMORY": "768m",
    "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS": "2",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_CORES": "1",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY": "640m",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY_OVERHEAD": "1g",
}


# A fixture may run ten tasks. Each starts a pod, and most start Spark: on a slow and busy machine, in a minute each.
_TIMEOUT_SECONDS = 2400


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the cluster's tests a longer time limit."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def cluster() -> client.ApiClient:
    """A client of the cluster's API with all permissions."""
    return api_client()


@pytest.fixture(scope="session")
def restart_api_server(cluster: client.ApiClient) -> Callable[[], None]:
    """A function that restarts the API server.

    It runs the command in IMAGE_PIPELINES_TEST_RESTART_API_SERVER, which returns when the server is ready.
    """
    command = os.environ.get("IMAGE_PIPELINES_TEST_RESTART_API_SERVER")
    if command is None:
        pytest.skip("IMAGE_PIPELINES_TEST_RESTART_API_SERVER is not set to a command that restarts the API server")
    arguments = shlex.split(command)

    def restart() -> None:
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    return restart


@pytest.fixture(scope="session")
def trainer_image() -> str:
    """An image with Open MPI and sshd that the nodes have. IMAGE_PIPELINES_TRAINER_IMAGE overrides it."""
    return ContainerImages().trainer_image


@pytest.fixture
def namespace(cluster: client.ApiClient) -> Iterator[Namespace]:
    """An empty namespace that enforces the pod security standard `restricted`."""
    made = Namespace.create(cluster, f"image-pipelines-{uuid.uuid4().hex[:8]}")
    yield made
    made.delete()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on this machine, at an address that pods can reach. IMAGE_PIPELINES_TEST_HOST overrides it."""
    host = os.environ.get("IMAGE_PIPELINES_TEST_HOST", "172.31.0.1")
    with running_s3(tmp_path_factory.mktemp("s3"), host) as server, pytest.MonkeyPatch.context() as patch:
        server.make_bucket(BUCKET)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def spark(s3: S3Server) -> Iterator[SparkSession]:
    """A session of this process, which reads the lakes that the cluster wrote."""
    session = spark_session(Settings.load(spark_master="local[2]"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def runs(cluster: client.ApiClient, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskRuns]:
    """A namespace with the standalone overlay, in which only the store's URL and the executors' size are changed."""
    with new_namespace() as name:
        secret = {key: base64.b64encode(value.encode()).decode() for key, value in s3.environment.items()}
        metadata = {"name": "image-pipelines-secrets", "namespace": name}
        apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret})
        folder = installation(tmp_path_factory.mktemp("manifests"), "standalone", (), name)
        path = folder / "kustomization.yaml"
        kustomization = yaml.safe_load(path.read_text().replace(_STORE, s3.url))
        for generator in kustomization["configMapGenerator"]:
            if generator["name"] == "image-pipelines-settings":
                generator["literals"] += [f"{key}={value}" for key, value in _EXECUTORS.items()]
        path.write_text(yaml.safe_dump(kustomization))
        kubectl("apply", "--server-side", "-k", str(folder))
        yield TaskRuns(name, RUNNER, client.CoreV1Api(cluster))
