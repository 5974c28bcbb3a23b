"""Overlays of manifests/, rendered with the parameters of a test."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted(folder.name for folder in (MANIFESTS / "overlays").iterdir())
COMPONENTS = sorted(folder.name for folder in (MANIFESTS / "components").iterdir())


def installation(
    folder: Path,
    overlay: str,
    components: Sequence[str] = (),
    namespace: str = "kubeflow",
    account: str = "pipeline-runner",
    images: Mapping[str, str] | None = None,
) -> Path:
    """Copy the manifests and edit an overlay as its comments say, and return its folder.

    Args:
        folder: An empty one.
        overlay: Name of the overlay.
        components: Names of the components that it takes.
        namespace: Where Kubeflow Pipelines runs its tasks.
        account: The account that it runs them as.
        images: Name and tag of other images, by name.
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
