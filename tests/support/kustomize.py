"""Overlays of manifests/, rendered with the parameters of a test."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.support.paths import REPOSITORY

MANIFESTS = REPOSITORY / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
COMPONENTS = sorted(folder.name for folder in (MANIFESTS / "components").iterdir())
# Those whose pods start in any cluster. The others need a database, or OpenShift.
SELF_CONTAINED = [name for name in COMPONENTS if name not in ("mlflow-postgresql", "openshift")]


def installation(
    folder: Path,
    overlay: str,
    components: Sequence[str] = (),
    namespace: str = "kubeflow",
    account: str = "pipeline-runner",
    images: Mapping[str, str] | None = None,
) -> Path:
    """Copy the manifests, edit an overlay as its comments describe, and return its folder.

    Args:
        folder: Empty folder.
        overlay: Name of the overlay.
        components: Names of the optional components to include.
        namespace: Namespace of Kubeflow Pipelines' tasks.
        account: Service account of the tasks.
        images: Name and tag of the replacement, by name of the image.
    """
    shutil.copytree(MANIFESTS, folder / "manifests")
    path = folder / "manifests" / "overlays" / overlay / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    kustomization["namespace"] = namespace
    parameters = kustomization["configMapGenerator"][0]["literals"]
    parameters[parameters.index("account=pipeline-runner")] = f"account={account}"
    kustomization["components"] = [f"../../components/{name}" for name in components]
    kustomization["images"] = [
        {"name": name, "newName": image.rpartition(":")[0], "newTag": image.rpartition(":")[2]}
        for name, image in (images or {}).items()
    ]
    path.write_text(yaml.safe_dump(kustomization))
    return path.parent


def render(folder: Path) -> list[dict[str, Any]]:
    """Return the objects of an overlay, as `kubectl apply -k` would send them."""
    rendered = subprocess.run(["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(rendered.stdout))
