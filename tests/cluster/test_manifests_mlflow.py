"""The MLflow server that the manifests start, on the S3 store of Kubeflow Pipelines."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from botocore.session import get_session
from mlflow import MlflowClient

from tests.cluster.kubectl import apply, kubectl, namespace
from tests.cluster.kustomize import MANIFESTS, installation
from tests.services.servers import S3Server

_SERVER = "image-pipelines-mlflow"
_BUCKET, _PREFIX = "mlpipeline", "image-pipelines/mlflow/"
_START = "--timeout=300s"


@pytest.fixture
def team(s3: S3Server) -> Iterator[str]:
    """A namespace with the S3 store of Kubeflow Pipelines: its Service, and the Secret of its keys."""
    address = urlsplit(s3.url)
    with namespace() as name:
        metadata = {"name": "seaweedfs", "namespace": name}
        apply(
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
                "metadata": {"name": "mlpipeline-minio-artifact", "namespace": name},
                "stringData": {"accesskey": s3.access_key, "secretkey": s3.secret_key},
            },
        )
        yield name


@contextmanager
def forwarded(team: str) -> Iterator[str]:
    """Forward a port of this machine to the server, as people do, and yield its URL."""
    command = ["kubectl", "port-forward", "--namespace", team, f"service/{_SERVER}", ":5000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            match = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", process.stdout.readline())
            assert match is not None
            yield f"http://{match[1]}"
        finally:
            process.terminate()


def status(url: str, host: str) -> int:
    """Return the status of an answer to a client that knows the server by a name."""
    try:
        with urlopen(
            Request(f"{url}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host})
        ) as response:
            return int(response.status)
    except HTTPError as error:
        return error.code


def test_mlflow_comes_up_and_keeps_what_it_was_given(team: str, s3: S3Server, tmp_path: Path) -> None:
    # The lines of docs/kubernetes.md.
    template = MANIFESTS / "overlays" / "standalone" / "secret.gotemplate"
    ours = kubectl("get", "-n", team, "secret", "mlpipeline-minio-artifact", f"-o=go-template-file={template}").stdout
    kubectl("apply", "-n", team, "--server-side", "--filename=-", stdin=ours)
    folder = installation(tmp_path, "standalone", namespace=team)
    kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))
    kubectl("rollout", "status", "-n", team, f"deployment/{_SERVER}", _START)

    with forwarded(team) as url:
        client = MlflowClient(url)
        run = client.create_run(client.create_experiment("trainings")).info.run_id
        client.log_metric(run, "accuracy", 0.75)
        client.log_text(run, "an artifact", "notes.txt")
        answers = {host: status(url, host) for host in (f"{_SERVER}:5000", f"{_SERVER}.{team}:5000", "evil.example")}
    kubectl("rollout", "restart", "-n", team, f"deployment/{_SERVER}")
    kubectl("rollout", "status", "-n", team, f"deployment/{_SERVER}", _START)

    with forwarded(team) as url:
        kept = MlflowClient(url).get_run(run)
        notes = Path(MlflowClient(url).download_artifacts(run, "notes.txt", str(tmp_path))).read_text()
    assert kept.data.metrics == {"accuracy": 0.75}
    assert notes == "an artifact"
    assert answers == {f"{_SERVER}:5000": 200, f"{_SERVER}.{team}:5000": 200, "evil.example": 403}
    store = get_session().create_client(
        "s3",
        endpoint_url=s3.url,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name="us-east-1",
    )
    objects = [each["Key"] for each in store.list_objects_v2(Bucket=_BUCKET, Prefix=_PREFIX)["Contents"]]
    assert [each for each in objects if re.fullmatch(rf"{_PREFIX}\d+/{run}/artifacts/notes\.txt", each)]
