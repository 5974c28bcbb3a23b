"""Compiled pipelines: what they are called, and the name that their content gives a version."""

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
from pipelines.generated import COMPILED

_DIGITS = 12


@dataclass(frozen=True)
class CompiledPipeline:
    """A compiled pipeline.

    Attributes:
        path: The YAML.
        name: The pipeline's name on the server, as in `image-scoring`.
        description: What it does, and in which image.
        version: Name of the version that has this very content.
    """

    path: Path
    name: str
    description: str
    version: str


def read_compiled(path: Path) -> CompiledPipeline:
    """Read a compiled pipeline.

    The version's name is a hash of what the YAML says, not of how: neither the comments on top, nor the order of keys,
    nor the SDK that compiled it make another version.

    Args:
        path: The YAML.
    """
    # The loader in C takes a tenth of the time.
    documents = list(yaml.load_all(path.read_text(), yaml.CSafeLoader))
    specification = documents[0]
    name = specification["pipelineInfo"]["name"]
    images = {each["container"]["image"] for each in specification["deploymentSpec"]["executors"].values()}
    said = {key: value for key, value in specification.items() if key != "sdkVersion"}
    digest = hashlib.sha256(json.dumps([said, *documents[1:]], sort_keys=True).encode()).hexdigest()[:_DIGITS]
    description = f"{specification['pipelineInfo'].get('description', name)} Image: {', '.join(sorted(images))}."
    # Where versions are objects of Kubernetes, a name is taken for all pipelines of a namespace.
    return CompiledPipeline(path, name, description, f"{name}-{digest}")


def compile_to(folder: Path, registry: str = "", tag: str = "") -> None:
    """Compile all pipelines, and below `components/` all components.

    Args:
        folder: Where the files go.
        registry: Registry of the images, as in `registry.example.com/team`; empty takes the images that the environment
            names, or else those of the committed files.
        tag: Their tag; empty for this version's.

    Raises:
        InputError: A tag is given without a registry, or one of them is none.
    """
    if not registry and tag:
        raise InputError(f"tag: '{tag}' has no registry to be a tag in. Add --registry.")
    images = ContainerImages.in_registry(registry, tag) if registry else ContainerImages()
    environment = {ENVIRONMENT_PREFIX + name.upper(): image for name, image in images.model_dump().items()}
    # In a process of its own: the images are read when the components are imported.
    subprocess.run(
        [sys.executable, "-m", "pipelines.generated", str(folder)], env={**os.environ, **environment}, check=True
    )


@contextmanager
def compiled_folder(registry: str, tag: str) -> Iterator[Path]:
    """Yield the folder of the compiled pipelines: the committed ones, or, for as long as this lasts, others.

    Args:
        registry: See `compile_to`; empty for the committed files.
        tag: See there.

    Raises:
        InputError: See `compile_to`.
    """
    if not registry and not tag:
        yield COMPILED
        return
    with tempfile.TemporaryDirectory() as folder:
        compile_to(Path(folder), registry, tag)
        yield Path(folder)
