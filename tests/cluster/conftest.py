"""A real cluster, through KUBECONFIG: tests have namespaces of their own there, which are deleted with all in them."""

import base64
import os
import shlex
import subprocess
import uuid
from collections.abc import Callable, Iterator

import pytest
import yaml
from kubernetes import client
from pyspark.sql import SparkSession

from components.cluster.api import api_client
from components.container_images import ContainerImages
from components.lake import spark_session
from components.settings import Settings
from tests.cluster.kubectl import RUNNER, apply, kubectl
from tests.cluster.kubectl import namespace as new_namespace
from tests.cluster.kustomize import installation
from tests.cluster.namespace import Namespace
from tests.cluster.store import BUCKET
from tests.cluster.task_runs import TaskRuns
from tests.services.servers import S3Server, running_s3

# The store that Kubeflow Pipelines brings, in the standalone overlay.
_STORE = "http://seaweedfs:9000"

# For two executors beside two drivers and MLflow on one small node.
_EXECUTORS = {
    "IMAGE_PIPELINES_SPARK_DRIVER_MEMORY": "768m",
    "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS": "2",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_CORES": "1",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY": "640m",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY_OVERHEAD": "1g",
}


@pytest.fixture(scope="session")
def cluster() -> client.ApiClient:
    """The cluster's API, with all rights."""
    return api_client()


@pytest.fixture(scope="session")
def restart_api_server(cluster: client.ApiClient) -> Callable[[], None]:
    """Restarts the API server: by IMAGE_PIPELINES_TEST_RESTART_API_SERVER, a command that returns when it is ready."""
    command = os.environ.get("IMAGE_PIPELINES_TEST_RESTART_API_SERVER")
    if command is None:
        pytest.skip("IMAGE_PIPELINES_TEST_RESTART_API_SERVER does not say how to restart this cluster's API server")
    arguments = shlex.split(command)

    def restart() -> None:
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL)

    return restart


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


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server on this machine, at an address that pods reach: IMAGE_PIPELINES_TEST_HOST, where it is another."""
    host = os.environ.get("IMAGE_PIPELINES_TEST_HOST", "172.31.0.1")
    with running_s3(tmp_path_factory.mktemp("s3"), host) as server, pytest.MonkeyPatch.context() as patch:
        server.make_bucket(BUCKET)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="session")
def spark(s3: S3Server) -> Iterator[SparkSession]:
    """A session of this process, which looks into the lakes that the cluster wrote."""
    session = spark_session(Settings.load(spark_master="local[2]"))
    yield session
    session.stop()


@pytest.fixture(scope="session")
def runs(cluster: client.ApiClient, s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskRuns]:
    """A namespace with the standalone overlay in it, as it is but for its store's address and Spark's executors."""
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
