"""What the manifests start, on the S3 store of Kubeflow Pipelines: it comes up, and does what it is for."""

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

from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.settings import Settings
from tests.cluster.kubectl import apply, get, kubectl, namespace
from tests.cluster.kustomize import COMPONENTS, MANIFESTS, installation
from tests.cluster.namespace import eventually
from tests.cluster.store import BUCKET
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.local.training_set_factory import digits
from tests.services.servers import S3Server

_SERVER = "image-pipelines-mlflow"
# Not the overlay's, which has what other tests left.
_FOLDER = "installed"
_STEPS = ("ingest", "score")
_START = "--timeout=600s"
_STREAM_SECONDS = 600
# For two executors beside two drivers and MLflow on one small node.
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
    """A namespace with the S3 store of Kubeflow Pipelines, and the standalone overlay with every component in it.

    The streams are there, and wait to be scaled up.
    """
    folder = installation(tmp_path_factory.mktemp("manifests"), "standalone", COMPONENTS)
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
        # The lines of docs/kubernetes.md.
        template = MANIFESTS / "overlays" / "standalone" / "secret.gotemplate"
        secret = kubectl("get", "-n", name, "secret", "mlpipeline-minio-artifact", f"-o=go-template-file={template}")
        kubectl("apply", "-n", name, "--server-side", "--filename=-", stdin=secret.stdout)
        kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))
        yield name


def store_of_kubeflow(team: str, s3: S3Server) -> list[dict[str, object]]:
    """Return the objects that Kubeflow Pipelines has for its store: a Service, and the Secret of its keys."""
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
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "mlpipeline-minio-artifact", "namespace": team},
            "stringData": {"accesskey": s3.access_key, "secretkey": s3.secret_key},
        },
    ]


@pytest.fixture(scope="module")
def store(s3: S3Server) -> "Store":
    return Store(s3)


class Store:
    """The bucket, as seen from here."""

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
    """Forward a port of this machine to the server, as people do, and yield its URL."""
    kubectl("rollout", "status", "-n", team, f"deployment/{_SERVER}", _START)
    command = ["kubectl", "port-forward", "--namespace", team, f"service/{_SERVER}", ":5000"]
    with (
        pytest.MonkeyPatch.context() as patch,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        # Or the client would fetch artifacts from the store, by a name that is known in the cluster only.
        patch.setenv("MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD", "false")
        try:
            assert process.stdout is not None
            match = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
            assert match is not None
            yield f"http://{match[1]}"
        finally:
            process.terminate()


def status(url: str, host: str) -> int:
    """Return the status of the server's answer to a client that knows it by a name."""
    request = Request(f"{url}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host})
    try:
        with urlopen(request) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def test_mlflow_keeps_what_it_was_given_and_hands_artifacts_to_the_store(
    team: str, store: Store, tmp_path: Path
) -> None:
    with mlflow_of(team) as url:
        client = MlflowClient(url)
        run = client.create_run(client.create_experiment("kept")).info.run_id
        client.log_metric(run, "accuracy", 0.75)
        client.log_text(run, "an artifact", "notes.txt")
    kubectl("rollout", "restart", "-n", team, f"deployment/{_SERVER}")

    with mlflow_of(team) as url:
        kept = MlflowClient(url).get_run(run)
        notes = Path(MlflowClient(url).download_artifacts(run, "notes.txt", str(tmp_path))).read_text()
    assert kept.data.metrics == {"accuracy": 0.75}
    assert notes == "an artifact"
    assert [key for key in store.keys("mlflow/") if key.endswith(f"/{run}/artifacts/notes.txt")]


def test_mlflow_answers_to_its_own_name_and_to_no_other(team: str) -> None:
    names = (f"{_SERVER}:5000", f"{_SERVER}.{team}:5000", f"{_SERVER}.{team}.svc.cluster.local:5000", "evil.example")

    with mlflow_of(team) as url:
        answers = [status(url, name) for name in names]

    assert answers == [200, 200, 200, 403]


def test_every_gpu_node_and_no_other_keeps_the_trainer_image(team: str) -> None:
    kubectl("rollout", "status", "-n", team, "daemonset/image-pipelines-trainer-image", _START)

    pods = get("-n", team, "pods", "-l", "app.kubernetes.io/name=image-pipelines-trainer-image")["items"]
    gpu_nodes = {node["metadata"]["name"] for node in get("nodes", "-l", "pool=gpu")["items"]}
    assert {pod["spec"]["nodeName"] for pod in pods} == gpu_nodes


def test_streams_ingest_and_score_what_arrives_and_end_with_their_locks_given_back(team: str, store: Store) -> None:
    with mlflow_of(team) as url:
        model = log_classifier(url, None, constant_classifier((3, 5, 7), 5))
        registry = ModelRegistry(url, Settings.load().model_name)
        champion = registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
        registry.set_alias(CHAMPION, champion.version)
    for number, (content, _) in enumerate(digits(2)):
        store.put(f"arriving/{number}.jpg", content)

    for step, said in zip(_STEPS, ("2 files, 2 images", "2 images scored"), strict=True):
        run_stream_until(team, f"deployment/image-pipelines-continuous-{step}", f"progress: {said}")
        assert get("-n", team, "leases")["items"] == []


def run_stream_until(team: str, deployment: str, said: str) -> None:
    """Scale a stream up, and down again when it has said something; its executors are in the CPU pool meanwhile."""
    kubectl("scale", "-n", team, deployment, "--replicas=1")
    eventually(lambda: said in log(team, deployment), _STREAM_SECONDS)
    assert {pod["spec"]["nodeSelector"]["pool"] for pod in executors(team)} == {"cpu"}
    kubectl("scale", "-n", team, deployment, "--replicas=0")
    eventually(lambda: not executors(team))


def executors(team: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get("-n", team, "pods", "-l", "spark-role=executor")["items"]
    return found


def log(team: str, deployment: str) -> str:
    """Return what a stream has printed; nothing as long as it has no container."""
    return subprocess.run(["kubectl", "logs", "-n", team, deployment], capture_output=True, text=True).stdout
