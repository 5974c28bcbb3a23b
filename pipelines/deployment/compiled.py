"""Compiled pipelines, and the version names that follow from their content."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.container_images import ContainerImages
from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX
from pipelines.catalogue import COMPILED

_DIGITS = 12


@dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline.

    Attributes:
        path: The YAML.
        name: Name on the server, e.g. `image-scoring`.
        description: Description on the server: what the pipeline does, and its images.
        version: Name of the version with this content.
    """

    path: Path
    name: str
    description: str
    version: str


def read_compiled(path: Path) -> CompiledPipeline:
    """Read a compiled pipeline.

    The version's name is a hash of the parsed YAML. Comments, the order of keys and the version of the KFP SDK do not
    change it.

    Args:
        path: The YAML.
    """
    # The loader in C is ten times as fast.
    documents = list(yaml.load_all(path.read_text(), yaml.CSafeLoader))
    specification = documents[0]
    name = specification["pipelineInfo"]["name"]
    images = {each["container"]["image"] for each in specification["deploymentSpec"]["executors"].values()}
    content = {key: value for key, value in specification.items() if key != "sdkVersion"}
    digest = hashlib.sha256(json.dumps([content, *documents[1:]], sort_keys=True).encode()).hexdigest()[:_DIGITS]
    description = f"{specification['pipelineInfo'].get('description', name)} Image: {', '.join(sorted(images))}."
    # KFP can store versions as Kubernetes objects, whose names have to be unique in a namespace.
    return CompiledPipeline(path, name, description, f"{name}-{digest}")


def compile_to(folder: Path, registry: str = "", tag: str = "") -> None:
    """Compile all pipelines, and all components into the subfolder `components`.

    Args:
        folder: Folder for the files.
        registry: Registry of the images, e.g. `registry.example.com/team`. Empty: the images that the environment
            names, or else those in the committed files.
        tag: Tag of the images. Empty: this version.

    Raises:
        InputError: The registry or the tag is malformed, or a tag is given without a registry.
    """
    if not registry and tag:
        raise InputError(f"tag: '{tag}' given without a registry. Add --registry.")
    images = ContainerImages.in_registry(registry, tag) if registry else ContainerImages()
    environment = {ENVIRONMENT_PREFIX + name.upper(): image for name, image in images.model_dump().items()}
    # In a new process, because importing a component reads its image from the environment.
    subprocess.run(
        [sys.executable, "-m", "pipelines.generate", str(folder)], env={**os.environ, **environment}, check=True
    )


@contextmanager
def compiled_folder(registry: str, tag: str) -> Iterator[Path]:
    """Yield the folder of the committed pipelines, or of pipelines compiled for a registry.

    Args:
        registry: See `compile_to`. Empty: the committed files.
        tag: See `compile_to`.

    Raises:
        InputError: See `compile_to`.
    """
    if not registry and not tag:
        yield COMPILED
        return
    with tempfile.TemporaryDirectory() as folder:
        compile_to(Path(folder), registry, tag)
        yield Path(folder)
