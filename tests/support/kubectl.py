"""kubectl for the cluster that KUBECONFIG names, and namespaces for single tests."""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

# The service account of tasks in Kubeflow Pipelines, and the permissions that Argo and KFP's programs need in a pod.
RUNNER = "pipeline-runner"
_KFP_RULES: list[dict[str, Any]] = [
    {"apiGroups": ["argoproj.io"], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
    {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
]


def kubectl(*arguments: str, stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Run kubectl.

    Raises:
        AssertionError: It failed; the message contains its error output.
    """
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
    return done


def get(*arguments: str) -> Any:
    """Return the output of `kubectl get`."""
    return json.loads(kubectl("get", *arguments, "--output=json").stdout)


def apply(*objects: Mapping[str, Any]) -> None:
    """Apply objects, with strict validation of their fields."""
    kubectl(
        *("apply", "--server-side", "--validate=strict", "--filename=-"),
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}),
    )


@contextmanager
def namespace(account: str = RUNNER) -> Iterator[str]:
    """Create a namespace like that of Kubeflow Pipelines, with the account of tasks, and delete it afterwards.

    It enforces the Pod Security Standard `baseline`, and warns about violations of `restricted`.
    """
    name = f"test-{uuid.uuid4().hex[:8]}"
    levels = {
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/warn": "restricted",
    }
    own = {"name": "kubeflow-pipelines", "namespace": name}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": levels}})
    try:
        apply(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": name}},
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": own, "rules": _KFP_RULES},
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": own,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": own["name"]},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": name}],
            },
        )
        yield name
    finally:
        kubectl("delete", "namespace", name, "--wait=false")
