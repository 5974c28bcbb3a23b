"""The workloads of the manifests, with the S3 store of Kubeflow Pipelines: they start and work."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import yaml
from botocore.session import get_session
from mlflow import MlflowClient

from components.container_images import TRAINER, TRAINER_GPU
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.settings import Settings
from tests.cluster.namespace import eventually
from tests.cluster.store import BUCKET
from tests.support.kubectl import apply, get, kubectl, namespace
from tests.support.kustomize import MANIFESTS, SELF_CONTAINED, installation
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.servers import S3Server, running_postgresql
from tests.support.training_set_factory import digits

pytestmark = pytest.mark.slow

_SERVER = "image-pipelines-mlflow"
# Not the overlay's folder, which contains data of other tests.
_FOLDER = "installed"
_STEPS = ("ingest", "score")
_START = "--timeout=600s"
_STREAM_SECONDS = 600
# One small node has room for two of these executors, two drivers and MLflow.
_SMALL = {
    "IMAGE_PIPELINES_SPARK_DRIVER_MEMORY": "768m",
    "IMAGE_PIPELINES_SPARK_MINIMUM_EXECUTORS": "1",
    "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS": "1",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_CORES": "1",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY": "640m",
    "IMAGE_PIPELINES_SPARK_EXECUTOR_MEMORY_OVERHEAD": "1g",
}
_REQUESTS = "{op: replace, path: /spec/template/spec/containers/0/resources/requests, value: {cpu: 100m, memory: 1Gi}}"


@pytest.fixture(scope="module")
def team(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with the S3 store of Kubeflow Pipelines, and the standalone overlay with all components.

    The streams are scaled to 0.
    """
    # The nodes have the trainer image for CPUs only.
    trainer = {TRAINER_GPU.rpartition(":")[0]: TRAINER}
    folder = installation(tmp_path_factory.mktemp("manifests"), "standalone", SELF_CONTAINED, images=trainer)
    path = folder / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text().replace(f"{BUCKET}/image-pipelines/", f"{BUCKET}/{_FOLDER}/"))
    with namespace() as name:
        kustomization["namespace"] = name
        kustomization["replicas"] = [{"name": f"image-pipelines-continuous-{step}", "count": 0} for step in _STEPS]
        kustomization["patches"] += [
            {"target": {"kind": "Deployment", "name": f"image-pipelines-continuous-{step}"}, "patch": f"- {_REQUESTS}"}
            for step in _STEPS
        ]
        kustomization["configMapGenerator"][1]["literals"] += [f"{key}={value}" for key, value in _SMALL.items()]
        path.write_text(yaml.safe_dump(kustomization))
        apply(*store_of_kubeflow(name, s3))
        # These are the commands of docs/kubernetes.md.
        template = MANIFESTS / "overlays" / "standalone" / "secret.gotemplate"
        secret = kubectl("get", "-n", name, "secret", "mlpipeline-minio-artifact", f"-o=go-template-file={template}")
        kubectl("apply", "-n", name, "--server-side", "--filename=-", stdin=secret.stdout)
        kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))
        yield name


def store_of_kubeflow(team: str, s3: S3Server) -> list[dict[str, object]]:
    """Return the objects of Kubeflow Pipelines' store: a Service with its endpoints, and the Secret of its keys."""
    address = urlsplit(s3.url)
    metadata = {"name": "seaweedfs", "namespace": team}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "s3", "port": 9000}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "seaweedfs"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address.hostname]}],
            "ports": [{"name": "s3", "port": address.port}],
        },
        secret(team, "mlpipeline-minio-artifact", {"accesskey": s3.access_key, "secretkey": s3.secret_key}),
    ]


@pytest.fixture(scope="module")
def store(s3: S3Server) -> "Store":
    return Store(s3)


class Store:
    """A client of the bucket."""

    def __init__(self, s3: S3Server) -> None:
        self._client = get_session().create_client(
            "s3",
            endpoint_url=s3.url,
            aws_access_key_id=s3.access_key,
            aws_secret_access_key=s3.secret_key,
            region_name="us-east-1",
        )

    def put(self, key: str, content: bytes) -> None:
        self._client.put_object(Bucket=BUCKET, Key=f"{_FOLDER}/{key}", Body=content)

    def keys(self, prefix: str) -> list[str]:
        found = self._client.list_objects_v2(Bucket=BUCKET, Prefix=f"{_FOLDER}/{prefix}")
        return [each["Key"] for each in found.get("Contents", [])]


@contextmanager
def mlflow_of(team: str) -> Iterator[str]:
    """Forward a local port to the MLflow server, like a user does, and yield its URL."""
    kubectl("rollout", "status", "-n", team, f"deployment/{_SERVER}", _START)
    command = ["kubectl", "port-forward", "--namespace", team, f"service/{_SERVER}", ":5000"]
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        # Otherwise the client would download artifacts from the store, whose host name resolves in the cluster only.
        patch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
        try:
            assert process.stdout is not None
            match = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
            assert match is not None
            yield f"http://{match[1]}"
        finally:
            process.terminate()


def status(url: str, host: str) -> int:
    """Return the HTTP status of a request with a host name.

    Args:
        url: URL of the server.
        host: Host name in the request.
    """
    request = Request(f"{url}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host})
    try:
        with urlopen(request) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def test_mlflow_data_survives_a_restart_and_artifacts_are_in_the_store(team: str, store: Store, tmp_path: Path) -> None:
    with mlflow_of(team) as url:
        client = MlflowClient(url)
        run = client.create_run(client.create_experiment("restarted")).info.run_id
        client.log_metric(run, "accuracy", 0.75)
        client.log_text(run, "an artifact", "notes.txt")
    kubectl("rollout", "restart", "-n", team, f"deployment/{_SERVER}")

    with mlflow_of(team) as url:
        restored = MlflowClient(url).get_run(run)
        notes = Path(MlflowClient(url).download_artifacts(run, "notes.txt", str(tmp_path))).read_text()
    assert restored.data.metrics == {"accuracy": 0.75}
    assert notes == "an artifact"
    assert [key for key in store.keys("mlflow/") if key.endswith(f"/{run}/artifacts/notes.txt")]


def test_mlflow_on_postgresql_runs_as_any_user_and_keeps_its_data_when_it_restarts(
    s3: S3Server, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = installation(tmp_path, "standalone", ["mlflow-postgresql", "openshift"])
    path = folder / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    # As OpenShift chooses a user for a pod that names none.
    user = "{op: add, path: /spec/template/spec/securityContext/runAsUser, value: 1000650000}"
    kustomization["patches"].append({"target": {"kind": "Deployment", "name": _SERVER}, "patch": f"- {user}"})
    address = urlsplit(s3.url).hostname
    assert address is not None
    with running_postgresql(tmp_path_factory.mktemp("postgresql"), address) as database, namespace() as team:
        kustomization["namespace"] = team
        path.write_text(yaml.safe_dump(kustomization))
        keys = {"IMAGE_PIPELINES_S3_ACCESS_KEY": s3.access_key, "IMAGE_PIPELINES_S3_SECRET_KEY": s3.secret_key}
        apply(
            secret(team, "image-pipelines-secrets", keys),
            secret(team, f"{_SERVER}-database", {"MLFLOW_BACKEND_STORE_URI": database}),
        )
        kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))

        with mlflow_of(team) as url:
            MlflowClient(url).create_registered_model("kept")
        kubectl("rollout", "restart", "-n", team, f"deployment/{_SERVER}")
        with mlflow_of(team) as url:
            assert MlflowClient(url).get_registered_model("kept").name == "kept"
        (pod,) = get("-n", team, "pods", "-l", f"app.kubernetes.io/name={_SERVER}")["items"]
        assert pod["spec"]["securityContext"]["runAsUser"] == 1_000_650_000
        assert not get("-n", team, "persistentvolumeclaims")["items"]


def secret(team: str, name: str, values: dict[str, str]) -> dict[str, object]:
    """Return a Secret."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": team}, "stringData": values}


def test_mlflow_rejects_unknown_host_names(team: str) -> None:
    names = (f"{_SERVER}:5000", f"{_SERVER}.{team}:5000", f"{_SERVER}.{team}.svc.cluster.local:5000", "evil.example")

    with mlflow_of(team) as url:
        statuses = [status(url, name) for name in names]

    assert statuses == [200, 200, 200, 403]


def test_trainer_image_is_pulled_to_all_gpu_nodes_and_no_others(team: str) -> None:
    kubectl("rollout", "status", "-n", team, "daemonset/image-pipelines-trainer-image", _START)

    pods = get("-n", team, "pods", "-l", "app.kubernetes.io/name=image-pipelines-trainer-image")["items"]
    gpu_nodes = {node["metadata"]["name"] for node in get("nodes", "-l", "pool=gpu")["items"]}
    assert {pod["spec"]["nodeName"] for pod in pods} == gpu_nodes


@pytest.mark.slow
def test_streams_ingest_and_score_new_images_and_release_their_locks(team: str, store: Store) -> None:
    with mlflow_of(team) as url:
        model = log_classifier(url, None, constant_classifier((3, 5, 7), 5))
        registry = ModelRegistry(url, Settings.load().model_name)
        champion = registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
        registry.set_alias(CHAMPION, champion.version)
    for number, (content, _) in enumerate(digits(2)):
        store.put(f"arriving/{number}.jpg", content)

    for step, text in zip(_STEPS, ("2 files, 2 images", "2 images scored"), strict=True):
        run_stream_until(team, f"deployment/image-pipelines-continuous-{step}", f"progress: {text}")
        assert get("-n", team, "leases")["items"] == []


def run_stream_until(team: str, deployment: str, text: str) -> None:
    """Scale a stream up until it prints a text, and then down. Check that its executors are in the CPU pool."""
    kubectl("scale", "-n", team, deployment, "--replicas=1")
    eventually(lambda: text in log(team, deployment), _STREAM_SECONDS)
    assert {pod["spec"]["nodeSelector"]["pool"] for pod in executors(team)} == {"cpu"}
    kubectl("scale", "-n", team, deployment, "--replicas=0")
    eventually(lambda: not executors(team))


def executors(team: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get("-n", team, "pods", "-l", "spark-role=executor")["items"]
    return found


def log(team: str, deployment: str) -> str:
    """Return the output of a stream; empty before it has a container."""
    return subprocess.run(["kubectl", "logs", "-n", team, deployment], capture_output=True, text=True).stdout
