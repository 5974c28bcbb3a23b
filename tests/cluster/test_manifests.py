"""The manifests, applied to a real API server like a platform engineer does."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kfp.dsl import TaskConfig

from components.cluster.pod import LABELS
from components.container_images import SPARK, TRAINER
from components.parameters import Placement
from components.spark.executors import executor_template
from components.train_classifier.mpijob.manifest import Identity, Owner, build_job
from components.train_classifier.mpijob.options import JobOptions
from tests.cluster.namespace import eventually
from tests.support.kubectl import RUNNER, get, kubectl, namespace
from tests.support.kustomize import COMPONENTS, OVERLAYS, SELF_CONTAINED, installation
from tests.support.task_pod import CompiledTask

_NO_NODE = {"nowhere": "true"}


@pytest.fixture
def team() -> Iterator[str]:
    """A fresh namespace."""
    with namespace() as name:
        yield name


def install(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Apply an overlay with the command of the documentation."""
    return kubectl("apply", "--server-side", "--validate=strict", "-k", str(folder))


def pod(name: str, labels: dict[str, str], **specification: Any) -> dict[str, Any]:
    """Return a pod that fits no node."""
    container = {"name": "main", "image": SPARK, **specification}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"nodeSelector": _NO_NODE, "containers": [container]},
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_with_all_components_applies_without_warnings_and_idempotently(
    overlay: str, team: str, tmp_path: Path
) -> None:
    folder = installation(tmp_path, overlay, COMPONENTS, team)

    first = install(folder)
    before = {each["metadata"]["name"]: each["metadata"]["generation"] for each in deployments(team)}
    install(folder)

    # The server warns about unknown fields, and about pods that `restricted` would reject.
    assert first.stderr == ""
    assert len(before) == 3
    assert {each["metadata"]["name"]: each["metadata"]["generation"] for each in deployments(team)} == before


def test_deployments_of_the_azure_overlay_start(team: str, tmp_path: Path) -> None:
    folder = installation(tmp_path, "azure", (), team)
    overlay = folder / "kustomization.yaml"
    # The test cluster's nodes lack the label of AKS.
    overlay.write_text(overlay.read_text().replace("kubernetes.azure.com/agentpool", "pool"))

    install(folder)

    kubectl("rollout", "status", "-n", team, "deployment/image-pipelines-mlflow", "--timeout=600s")


def deployments(team: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get("--namespace", team, "deployments")["items"]
    return found


def test_account_of_tasks_has_exactly_the_permissions_of_the_steps_and_kubeflow(team: str, tmp_path: Path) -> None:
    install(installation(tmp_path, "standalone", SELF_CONTAINED, team))

    account = f"system:serviceaccount:{team}:{RUNNER}"
    listed = kubectl("auth", "can-i", "--list", "--namespace", team, f"--as={account}", "--no-headers").stdout

    rows = [line.split("[", 1) for line in listed.splitlines()]
    # All accounts can review their own permissions. URLs that are not resources have an empty first column.
    allowed = {
        resource: set(rest.rsplit("[", 1)[1].rstrip("]").split())
        for resource, rest in ((row[0].strip(), row[1]) for row in rows)
        if resource and "self" not in resource
    }
    assert allowed == {
        "configmaps": {"get", "list", "watch"},
        "secrets": {"get"},
        "workflows.argoproj.io": {"get"},
        "workflowtaskresults.argoproj.io": {"create", "patch"},
        "events": {"list"},
        "leases.coordination.k8s.io": {"get", "create", "update", "delete"},
        "mpijobs.kubeflow.org": {"get", "list", "create", "delete"},
        "pods": {"get", "list", "watch", "create", "delete", "deletecollection"},
        "pods/log": {"get"},
    }


def test_network_policies_select_pods_of_the_pipelines_only(team: str, tmp_path: Path) -> None:
    install(installation(tmp_path, "standalone", ["network-policies"], team))
    pods = {
        "task": {**LABELS, "workflows.argoproj.io/workflow": "training-x", "pipeline/runid": "1"},
        "executor": {**LABELS, "spark-role": "executor"},
        "rank": {**LABELS, "training.kubeflow.org/job-role": "worker"},
        "other-pipeline": {"workflows.argoproj.io/workflow": "other", "pipeline/runid": "2"},
        "ml-pipeline": {"app": "ml-pipeline", "application-crd-id": "kubeflow-pipelines"},
        "seaweedfs": {"app": "seaweedfs", "application-crd-id": "kubeflow-pipelines"},
    }
    for name, labels in pods.items():
        kubectl("apply", "--namespace", team, "--filename=-", stdin=json.dumps(pod(name, labels)))

    selected = {policy["metadata"]["name"]: selection(team, policy) for policy in get("-n", team, "netpol")["items"]}

    assert selected["image-pipelines-jobs"] == {"task", "executor", "rank"}
    (server,) = selected["image-pipelines-mlflow"]
    assert server.startswith("image-pipelines-mlflow-")


def test_pods_that_tasks_start_are_restricted_and_tasks_lack_only_a_user(team: str) -> None:
    task = CompiledTask.load("training", "ingest-images").pod("task", {}, {}, RUNNER, {})
    executor = executor_template(task)
    executor["metadata"]["name"] = "executor"
    executor["spec"]["containers"][0]["image"] = SPARK
    identity = Identity(team, Owner("v1", "Pod", "task", "1-2-3"), RUNNER)
    job = build_job("job", "0123", TRAINER, ["mpirun"], 2, JobOptions.make(TaskConfig(), Placement()), identity)
    ranks = [
        {"apiVersion": "v1", "kind": "Pod", **replica["template"]} | {"metadata": {"name": role.lower()}}
        for role, replica in job["spec"]["mpiReplicaSpecs"].items()
    ]

    assert [warnings(team, each) for each in (executor, *ranks)] == ["", "", ""]
    (warning,) = warnings(team, task).splitlines()
    assert warning == (
        'Warning: would violate PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "main" must set'
        " securityContext.runAsNonRoot=true)"
    )


def warnings(team: str, pod: dict[str, Any]) -> str:
    """Return the API server's warnings about a pod that it admits."""
    done = kubectl("create", "--dry-run=server", "-n", team, "--filename=-", stdin=json.dumps(pod))
    return done.stderr


def selection(team: str, policy: dict[str, Any]) -> set[str]:
    """Return the names of the pods that a policy selects, by a query of the API server."""
    selector = policy["spec"]["podSelector"]
    terms = [f"{key}={value}" for key, value in selector["matchLabels"].items()]
    terms += [f"{term['key']} notin ({','.join(term['values'])})" for term in selector.get("matchExpressions", [])]
    return {each["metadata"]["name"] for each in get("-n", team, "pods", "-l", ",".join(terms))["items"]}


def test_quota_limits_gpus_and_admits_pods_without_requests(team: str, tmp_path: Path) -> None:
    install(installation(tmp_path, "standalone", ["quota"], team))
    eventually(lambda: "hard" in get("-n", team, "resourcequota", "image-pipelines").get("status", {}))

    # As many pods of Kubeflow Pipelines itself are.
    kubectl("apply", "-n", team, "--filename=-", stdin=json.dumps(pod("without-requests", {"app": "ml-pipeline"})))
    gpus = pod("gpus", dict(LABELS), resources={"limits": {"nvidia.com/gpu": "9"}})
    rejected = subprocess.run(
        ["kubectl", "create", "-n", team, "--filename=-"], input=json.dumps(gpus), capture_output=True, text=True
    )

    assert "exceeded quota: image-pipelines" in rejected.stderr
