"""The doctor's Job of the manifests, in a cluster with the MPI operator."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.container_images import TRAINER, TRAINER_GPU
from components.settings import variable
from tests.cluster.namespace import eventually
from tests.support.kubectl import apply, get, kubectl, namespace
from tests.support.kustomize import installation
from tests.support.servers import S3Server

_JOB = "image-pipelines-doctor"
_STORE = "http://seaweedfs:9000"
_SECONDS = 900
# Kubeflow Pipelines does not run in the test cluster, and nobody trained a champion there.
_CHECKS = ("secrets", "folders", "stores", "clocks", "locks", "permissions", "operator", "images", "nodes", "tables")


@pytest.fixture(scope="module")
def team(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with the standalone overlay and the doctor, which writes its findings as JSON."""
    with namespace() as name:
        secret = {key: base64.b64encode(value.encode()).decode() for key, value in s3.environment.items()}
        # The endpoint is not a secret.
        secret.pop(variable("s3_endpoint"))
        metadata = {"name": "image-pipelines-secrets", "namespace": name}
        apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret})
        trainer = {TRAINER_GPU.rpartition(":")[0]: TRAINER}
        folder = installation(tmp_path_factory.mktemp("manifests"), "standalone", ["doctor"], name, images=trainer)
        _edit(folder / "kustomization.yaml", s3.url)
        kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))
        # The first Job may examine MLflow before it is up.
        kubectl("rollout", "status", "-n", name, "deployment/image-pipelines-mlflow", "--timeout=600s")
        kubectl("delete", "-n", name, "job", _JOB)
        kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))
        yield name


def _edit(path: Path, store: str) -> None:
    kustomization = yaml.safe_load(path.read_text().replace(_STORE, store))
    arguments = ["python", "-m", "pipelines", "doctor", *_CHECKS, "--format", "json", "--write"]
    container = "/spec/template/spec/containers/0"
    # Without Kubeflow Pipelines, the recurring runs of the packaged file count. The nodes have no image for GPUs.
    patch = [
        {"op": "replace", "path": f"{container}/args", "value": arguments},
        {
            "op": "add",
            "path": f"{container}/env/-",
            "value": {"name": variable("trainer_gpu_image"), "value": TRAINER},
        },
    ]
    kustomization["patches"].append({"target": {"kind": "Job", "name": _JOB}, "patch": json.dumps(patch)})
    path.write_text(yaml.safe_dump(kustomization))


def findings(team: str) -> list[dict[str, str]]:
    """Wait until the doctor's Job ends, and return its findings."""

    def ended() -> Any:
        status = get("-n", team, "job", _JOB).get("status", {})
        return status.get("succeeded") or status.get("failed")

    eventually(ended, _SECONDS)
    log = kubectl("logs", "-n", team, f"job/{_JOB}").stdout
    # The log also has the error output.
    report, _ = json.JSONDecoder().raw_decode(log, log.index('{\n  "level"'))
    found: list[dict[str, str]] = report["findings"]
    return found


def start(team: str, *arguments: str) -> None:
    """Run the doctor's Job again, with other arguments."""
    spec = get("-n", team, "job", _JOB)["spec"]["template"]["spec"]
    spec["containers"][0]["args"] = ["python", "-m", "pipelines", "doctor", *arguments]
    kubectl("delete", "-n", team, "job", _JOB)
    template = {"metadata": {"labels": {"app.kubernetes.io/part-of": "image-pipelines"}}, "spec": spec}
    apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": _JOB, "namespace": team},
            "spec": {"backoffLimit": 0, "template": template},
        }
    )


def probe_pods(team: str) -> list[str]:
    """Return the names of the pods that a doctor started."""
    pods = get("-n", team, "pods")["items"]
    return [each["metadata"]["name"] for each in pods if each["spec"]["containers"][0]["name"] == "probe"]


def test_doctor_in_a_pod_finds_no_error_and_leaves_nothing(team: str) -> None:
    found = findings(team)

    assert [each for each in found if each["level"] == "error"] == []
    assert {each["check"] for each in found} == set(_CHECKS)
    allowed = [each["what"] for each in found if each["check"] == "permissions"]
    assert all(" is allowed, for " in each for each in allowed)
    assert {"launcher: the cluster serves the MPIJobs of v2beta1."} <= {each["what"] for each in found}
    assert len([each for each in found if "ran on node" in each["what"]]) == 2
    # Kubernetes deletes the probe pods of the first Job with its doctor, some time after the fixture deleted it.
    eventually(lambda: not probe_pods(team), 60)
    assert get("-n", team, "leases")["items"] == []


def test_probe_pod_is_deleted_with_its_doctor(team: str) -> None:
    start(team, "images", "--write")
    eventually(lambda: probe_pods(team), _SECONDS)

    # The doctor is killed before it deletes the probe pod itself.
    kubectl("delete", "-n", team, "pods", "-l", f"job-name={_JOB}", "--grace-period=1")

    eventually(lambda: not probe_pods(team), 60)


def test_doctor_without_the_role_names_each_permission(team: str) -> None:
    kubectl("delete", "-n", team, "rolebinding", "image-pipelines")
    start(team, "permissions", "--format", "json")

    errors = [each["what"] for each in findings(team) if each["level"] == "error"]

    assert [each.partition(":")[0] for each in errors] == [
        "mpijobs.kubeflow.org",
        "events",
        "pods/log",
        "pods",
        "leases.coordination.k8s.io",
    ]
