"""The container images: images/build.sh builds the pipelines' images, and ranks use the image of their device."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from components.container_images import VERSION, ContainerImages
from tests.support.paths import REPOSITORY

# A fake of docker that records its builds.
_DOCKER = """#!/bin/sh
[ "$1" = info ] || echo "$@" >>"$BUILDS"
"""


def built(folder: Path, *images: str, **environment: str) -> dict[str, str]:
    """Return the trainer's device of each image that images/build.sh builds, by the image's name."""
    docker = folder / "docker"
    docker.write_text(_DOCKER)
    docker.chmod(0o755)
    log = folder / "builds"
    subprocess.run(
        [str(REPOSITORY / "images" / "build.sh"), *images],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "BUILDS": str(log), **environment},
        check=True,
        capture_output=True,
    )
    lines = log.read_text().splitlines()
    return {
        re.findall(r"--tag (\S+)", line)[0]: "".join(re.findall(r"--build-arg DEVICE=(\w+)", line)) for line in lines
    }


def test_build_creates_the_images_that_the_pipelines_name(tmp_path: Path) -> None:
    images = ContainerImages.committed()

    assert built(tmp_path) == {images.spark_image: "", images.trainer_image: "cpu", images.trainer_gpu_image: "gpu"}


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_build_with_a_device_creates_one_trainer_image(device: str, tmp_path: Path) -> None:
    assert built(tmp_path, "trainer", DEVICE=device) == {f"image-pipelines/trainer-python:{VERSION}-{device}": device}


def test_build_tags_images_for_a_registry_as_upload_names_them(tmp_path: Path) -> None:
    images = ContainerImages.in_registry("registry.example.com/team", "7")

    assert set(built(tmp_path, REGISTRY="registry.example.com/team", TAG="7")) == set(images.model_dump().values())


def test_build_refuses_an_unknown_device(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        built(tmp_path, "trainer", DEVICE="tpu")

    assert error.value.stderr == b"DEVICE: 'tpu' is unknown. Use cpu or gpu, or unset it to build both.\n"


@pytest.mark.parametrize(("gpus", "suffix"), [(0, "-cpu"), (1, "-gpu")])
def test_ranks_take_the_image_that_fits_their_device(gpus: int, suffix: str) -> None:
    assert ContainerImages.committed().trainer_for(gpus) == f"image-pipelines/trainer-python:{VERSION}{suffix}"


def test_settings_name_a_custom_image_for_each_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_TRAINER_IMAGE", "registry.example.com/own:cpu")
    monkeypatch.setenv("IMAGE_PIPELINES_TRAINER_GPU_IMAGE", "registry.example.com/own:cuda")

    assert ContainerImages().trainer_for(0) == "registry.example.com/own:cpu"
    assert ContainerImages().trainer_for(1) == "registry.example.com/own:cuda"


def test_sshd_sessions_have_the_paths_of_the_image() -> None:
    dockerfile = (REPOSITORY / "images" / "trainer" / "Dockerfile").read_text()
    sshd = (REPOSITORY / "images" / "trainer" / "sshd.conf").read_text()

    # sshd applies only the first SetEnv line.
    (session,) = re.findall(r"^SetEnv (.*)$", sshd, re.MULTILINE)
    (image,) = re.findall(r"\bLD_LIBRARY_PATH=(\S+)", dockerfile)
    assert f"LD_LIBRARY_PATH={image}" in session.split()
    assert "/usr/local/nvidia/lib64" in image.split(":")
    assert re.search(r"\bPATH=/opt/venv/bin:", session)
