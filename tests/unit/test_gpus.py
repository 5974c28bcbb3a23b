"""Checks of the ranks' GPUs, and the errors with which a training ends before it starts."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import InputError
from components.train_classifier.environment import RANK_GPUS
from components.train_classifier.rank import gpus
from components.train_classifier.rank.gpus import (
    MINIMUM_CUDA,
    Driver,
    Gpu,
    RankDevices,
    arithmetic,
    assigned_gpus,
    check_gpus,
    read_driver,
)
from tests.support.paths import REPOSITORY

T4, A100, B200 = Gpu("t4", (7, 5)), Gpu("a100", (8, 0)), Gpu("b200", (10, 0))
V100 = Gpu("v100", (7, 0))


def rank(number: int = 0, *visible: Gpu, ranks_of_pod: int = 1, assigned: int | None = 1) -> RankDevices:
    """Return a rank in the GPU image, whose driver and TensorFlow detect the visible GPUs."""
    return RankDevices(
        rank=number,
        local_rank=number % ranks_of_pod,
        local_size=ranks_of_pod,
        host=f"worker-{number // ranks_of_pod}",
        assigned=assigned,
        driver=Driver(MINIMUM_CUDA, gpus=visible),
        cuda_build=True,
        usable=len(visible),
    )


@pytest.mark.parametrize(
    ("rank_devices", "message"),
    [
        (
            replace(rank(), cuda_build=False, driver=None),
            "gpus_per_rank: rank 0 on 'worker-0' has 1 GPU assigned, but its image has TensorFlow for CPUs. Use the"
            " trainer image with the tag suffix -gpu (IMAGE_PIPELINES_TRAINER_GPU_IMAGE), or gpus_per_rank=0 to train"
            " on CPUs.",
        ),
        (
            replace(rank(), cuda_build=False, driver=Driver((12, 4), gpus=(A100,))),
            "gpus_per_rank: rank 0 on 'worker-0' has 1 GPU assigned, but its image has TensorFlow for CPUs. Use the"
            " trainer image with the tag suffix -gpu (IMAGE_PIPELINES_TRAINER_GPU_IMAGE), or gpus_per_rank=0 to train"
            " on CPUs.",
        ),
        (
            replace(rank(), driver=None),
            "gpus_per_rank: rank 0 on 'worker-0' has 1 GPU assigned, but its container has no NVIDIA driver"
            " (libcuda.so.1). Install NVIDIA's driver and device plugin on the node; if the driver is mounted, add its"
            " folder to LD_LIBRARY_PATH.",
        ),
        (
            replace(rank(), driver=Driver((13, 0), error=100)),
            "gpus_per_rank: rank 0 on 'worker-0' has 1 GPU assigned, but NVIDIA's driver lists no GPU (CUDA error 100)."
            " Check the device plugin and `nvidia-smi -L` on the node.",
        ),
        (
            replace(rank(0, A100), usable=0),
            "gpus_per_rank: rank 0 on 'worker-0' has 1 GPU assigned, but TensorFlow can't use any GPU. Use the trainer"
            " image with the tag suffix -gpu, which has CUDA's libraries. The rank's log names the missing ones.",
        ),
        (
            replace(rank(), driver=Driver((12, 4))),
            "gpus_per_rank: NVIDIA's driver on 'worker-0' supports CUDA 12.4, but the trainer image needs 13.0. Install"
            " driver 580 or newer on the GPU nodes.",
        ),
        (
            replace(rank(0, A100), driver=Driver((12, 4), gpus=(A100,))),
            "gpus_per_rank: NVIDIA's driver on 'worker-0' supports CUDA 12.4, but the trainer image needs 13.0. Install"
            " driver 580 or newer on the GPU nodes.",
        ),
        (
            rank(0, V100),
            "gpus_per_rank: the GPU of rank 0 on 'worker-0' has compute capability 7.0, but the trainer image needs 7.5"
            " or newer. Use a newer GPU (T4 or later), or gpus_per_rank=0 to train on CPUs.",
        ),
    ],
    ids=[
        "image for CPUs",
        "image for CPUs, old driver",
        "no driver",
        "no GPU",
        "no CUDA libraries",
        "old driver",
        "old driver, GPU detected",
        "old GPU",
    ],
)
def test_unusable_gpu_raises_error_with_its_fix(rank_devices: RankDevices, message: str) -> None:
    with pytest.raises(InputError) as error:
        check_gpus([rank_devices])

    assert str(error.value) == message


def test_pod_with_fewer_gpus_than_ranks_raises_error() -> None:
    pod = [rank(number, T4, A100, B200, ranks_of_pod=4) for number in range(4)]

    with pytest.raises(InputError) as error:
        check_gpus(pod)

    assert str(error.value) == (
        "gpus_per_rank: the 4 ranks on 'worker-0' detect 3 GPUs, but each needs its own. Turn GPU sharing off in the"
        " device plugin, or lower slots_per_worker."
    )


def test_gpu_shared_by_two_pods_raises_error() -> None:
    with pytest.raises(InputError) as error:
        check_gpus([rank(0, A100), rank(1, T4), rank(2, A100)])

    assert str(error.value) == (
        "gpus_per_rank: ranks 0 and 2 share GPU a100 on 'worker-2', but each needs its own. Turn GPU sharing"
        " (time-slicing, MPS) off in the device plugin, or lower ranks."
    )


def test_fault_of_another_rank_raises_the_same_error() -> None:
    healthy, faulty = rank(0, A100), replace(rank(1), driver=None)

    with pytest.raises(InputError, match=r"rank 1 on 'worker-1' has 1 GPU assigned, but its container has no NVIDIA"):
        check_gpus([healthy, faulty])


@pytest.mark.parametrize(
    "ranks",
    [
        [rank(0, T4)],
        [rank(0, B200), rank(1, A100)],
        [rank(0, A100, B200, ranks_of_pod=2), rank(1, A100, B200, ranks_of_pod=2)],
    ],
    ids=["one", "two pods", "two in a pod"],
)
def test_ranks_with_a_gpu_each_use_different_gpus(ranks: list[RankDevices]) -> None:
    check_gpus(ranks)

    own = [devices.gpu.uuid for devices in ranks if devices.gpu]
    assert len(set(own)) == len(ranks)


def test_ranks_without_assigned_gpu_use_the_cpu_of_a_gpu_node() -> None:
    ranks = [rank(number, V100, ranks_of_pod=2, assigned=0) for number in range(2)]

    check_gpus(ranks)

    assert [devices.index for devices in ranks] == [None, None]


def test_ranks_of_a_workstation_use_a_gpu_each_or_the_cpu() -> None:
    without = [
        replace(rank(number, ranks_of_pod=2, assigned=None), driver=None, cuda_build=False) for number in range(2)
    ]
    # A workstation's Horovod may have no CUDA kernels. Then old drivers and GPUs suffice.
    with_two = [
        replace(rank(number, V100, A100, ranks_of_pod=2, assigned=None), driver=Driver((12, 4), gpus=(V100, A100)))
        for number in range(2)
    ]

    check_gpus(without)
    check_gpus(with_two)

    assert [devices.index for devices in without] == [None, None]
    assert [devices.index for devices in with_two] == [0, 1]


def test_workstation_with_fewer_gpus_than_ranks_raises_error() -> None:
    with pytest.raises(InputError) as error:
        check_gpus([rank(number, A100, ranks_of_pod=2, assigned=None) for number in range(2)])

    assert str(error.value) == (
        "ranks: the 2 ranks on 'worker-0' detect 1 GPU, but each needs its own. Lower ranks, or set"
        " CUDA_VISIBLE_DEVICES=-1 to train on the CPU."
    )


@pytest.mark.parametrize(("gpu", "kind"), [(None, "float32"), (T4, "float32"), (A100, "tf32"), (B200, "tf32")])
def test_arithmetic_is_tf32_since_ampere(gpu: Gpu | None, kind: str) -> None:
    assert arithmetic(gpu) == kind


@pytest.mark.parametrize(
    ("environment", "assigned"), [({}, None), ({"IMAGE_PIPELINES_RANK_GPUS": "0"}, 0), ({RANK_GPUS: "1"}, 1)]
)
def test_rank_reads_its_number_of_assigned_gpus(environment: dict[str, str], assigned: int | None) -> None:
    assert assigned_gpus(environment) == assigned


def test_minimum_cuda_is_the_version_of_the_compiler_of_horovods_kernels() -> None:
    requirements = (REPOSITORY / "requirements" / "nvcc.in").read_text()

    assert f"nvidia-cuda-nvcc=={MINIMUM_CUDA[0]}.{MINIMUM_CUDA[1]}." in requirements


def test_minimum_compute_capability_is_the_oldest_that_horovod_is_compiled_for() -> None:
    dockerfile = (REPOSITORY / "images" / "trainer" / "Dockerfile").read_text()
    major, minor = gpus.MINIMUM_COMPUTE_CAPABILITY

    assert f"HOROVOD_BUILD_CUDA_CC_LIST={major}{minor}," in dockerfile


def test_read_driver_without_a_driver_returns_none() -> None:
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver")
    assert read_driver() is None


# A fake of CUDA's driver API with two GPUs.
_DRIVER = """
#include <string.h>
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuInit(unsigned flags) { return ERROR; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGet(int *device, int number) { *device = 40 + number; return 0; }
int UUID(unsigned char *uuid, int device) { memset(uuid, device, 16); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 9 : attribute == 76 ? device - 40 : -1;
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc compiles the fake driver")
@pytest.mark.parametrize(
    ("version", "error", "driver"),
    [
        (13010, 0, Driver((13, 1), 0, (Gpu("28" * 16, (9, 0)), Gpu("29" * 16, (9, 1))))),
        (13000, 100, Driver((13, 0), 100)),
        (11030, 0, Driver((11, 3), 0, (Gpu("28" * 16, (9, 0)), Gpu("29" * 16, (9, 1))))),
    ],
    ids=["two GPUs", "no GPU", "old"],
)
def test_read_driver_returns_version_error_and_gpus(
    version: int, error: int, driver: Driver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "libcuda.so.1"
    # The second version of the function came with CUDA 11.4.
    uuid = "cuDeviceGetUuid_v2" if version >= 11040 else "cuDeviceGetUuid"
    definitions = [f"-DVERSION={version}", f"-DERROR={error}", f"-DUUID={uuid}"]
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-x", "c", "-", *definitions, "-o", str(library)],
        input=_DRIVER,
        text=True,
        check=True,
    )
    monkeypatch.setattr(gpus, "_DRIVER_LIBRARY", str(library))

    assert read_driver() == driver
