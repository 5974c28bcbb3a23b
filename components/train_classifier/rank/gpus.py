"""Checks that each rank has a usable GPU of its own.

Every rank checks the GPUs of all ranks before it reads data, so that all ranks end with the same error.
"""

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX
from components.train_classifier.environment import RANK_GPUS

# CUDA version of Horovod's kernels. Drivers older than 580 can't load the code that nvcc 13 generates.
MINIMUM_CUDA = (13, 0)
# The oldest compute capability in HOROVOD_BUILD_CUDA_CC_LIST of images/trainer/Dockerfile. GPUs that are newer than the
# list compile the PTX code of the image.
MINIMUM_COMPUTE_CAPABILITY = (7, 5)
# Compute capability of the oldest GPUs that multiply in TF32.
_TF32_COMPUTE_CAPABILITY = (8, 0)

# Values of `arithmetic`.
FLOAT32, TF32 = "float32", "tf32"

_DRIVER_LIBRARY = "libcuda.so.1"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_UUID_BYTES = 16


@dataclass(frozen=True)
class Gpu:
    """A GPU as its driver describes it.

    Attributes:
        uuid: Globally unique id of the GPU, or of its MIG instance.
        compute_capability: Major and minor number, e.g. `(9, 0)`.
    """

    uuid: str
    compute_capability: tuple[int, int]


@dataclass(frozen=True)
class Driver:
    """NVIDIA's driver.

    Attributes:
        cuda: Newest CUDA version that the driver supports, e.g. `(13, 0)`.
        error: CUDA's error code at initialization; 0 is success.
        gpus: GPUs that this process may use.
    """

    cuda: tuple[int, int]
    error: int = 0
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class RankDevices:
    """The GPUs that are assigned to a rank, and the GPUs that it detects.

    Attributes:
        rank: Number of the rank, from 0.
        local_rank: Number of the rank among the ranks of the same pod or machine, from 0.
        local_size: Number of ranks in the same pod or machine.
        host: Name of the pod or machine.
        assigned: Number of GPUs that the MPIJob assigns to the rank; None without an MPIJob, e.g. on a workstation.
        driver: NVIDIA's driver, or None without one.
        cuda_build: Whether TensorFlow is a build for CUDA.
        usable: Number of GPUs that TensorFlow detects.
    """

    rank: int
    local_rank: int
    local_size: int
    host: str
    assigned: int | None
    driver: Driver | None
    cuda_build: bool
    usable: int

    @property
    def index(self) -> int | None:
        """Number of the rank's own GPU among the usable ones; None is the CPU."""
        return self.local_rank if self.assigned != 0 and self.local_rank < self.usable else None

    @property
    def gpu(self) -> Gpu | None:
        """The rank's own GPU; None is the CPU."""
        if self.index is None or self.driver is None or self.index >= len(self.driver.gpus):
            return None
        return self.driver.gpus[self.index]


def check_gpus(ranks: Sequence[RankDevices]) -> None:
    """Check that each rank has a usable GPU of its own, or trains on the CPU.

    Args:
        ranks: All ranks.

    Raises:
        InputError: A rank does not detect its assigned GPU, detects fewer GPUs than its pod has ranks, or shares a GPU
            with another rank. Or its driver or GPU is too old.
    """
    for error in _errors(ranks):
        raise InputError(error)


def assigned_gpus(environment: Mapping[str, str] = os.environ) -> int | None:
    """Return the number of GPUs that the MPIJob assigns to this rank, or None without an MPIJob.

    Args:
        environment: Environment variables of the rank.
    """
    value = environment.get(RANK_GPUS)
    return int(value) if value else None


def arithmetic(gpu: Gpu | None) -> str:
    """Return the arithmetic of a rank: `tf32` on GPUs that support it, else `float32`.

    Args:
        gpu: The rank's GPU; None is the CPU.
    """
    return TF32 if gpu and gpu.compute_capability >= _TF32_COMPUTE_CAPABILITY else FLOAT32


def read_driver() -> Driver | None:
    """Return NVIDIA's driver and its GPUs, or None without a driver.

    The GPUs are in CUDA's order, which is TensorFlow's too.
    """
    try:
        cuda = ctypes.CDLL(_DRIVER_LIBRARY)
    except OSError:
        return None
    version, count = ctypes.c_int(), ctypes.c_int()
    cuda.cuDriverGetVersion(ctypes.byref(version))
    supported = version.value // 1000, version.value % 1000 // 10
    if error := cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return Driver(supported, error)
    return Driver(supported, gpus=tuple(_gpu(cuda, number) for number in range(count.value)))


def _gpu(cuda: ctypes.CDLL, number: int) -> Gpu:
    device, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    uuid = (ctypes.c_ubyte * _UUID_BYTES)()
    cuda.cuDeviceGet(ctypes.byref(device), number)
    # In drivers below 470, the first version of the function returns the same UUID for all MIG instances of a GPU.
    get_uuid = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
    get_uuid(uuid, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    cuda.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
    return Gpu(bytes(uuid).hex(), (major.value, minor.value))


def _errors(ranks: Sequence[RankDevices]) -> Iterator[str]:
    for rank in ranks:
        if rank.assigned:
            # Age first: an old driver or GPU may be why TensorFlow detects none.
            yield from _too_old(rank)
            yield from _undetected(rank)
        if rank.assigned != 0 and 0 < rank.usable < rank.local_size:
            yield _too_few(rank)
    yield from _shared(ranks)


def _undetected(rank: RankDevices) -> Iterator[str]:
    """Yield why a rank does not detect its assigned GPUs."""
    start = f"gpus_per_rank: rank {rank.rank} on '{rank.host}' has {_count(rank.assigned or 0)} assigned, but"
    if not rank.cuda_build:
        yield (
            f"{start} its image has TensorFlow for CPUs. Use the trainer image with the tag suffix -gpu"
            f" ({ENVIRONMENT_PREFIX}TRAINER_GPU_IMAGE), or gpus_per_rank=0 to train on CPUs."
        )
    elif rank.driver is None:
        yield (
            f"{start} its container has no NVIDIA driver ({_DRIVER_LIBRARY}). Install NVIDIA's driver and device plugin"
            " on the node; if the driver is mounted, add its folder to LD_LIBRARY_PATH."
        )
    elif not rank.driver.gpus:
        code = f" (CUDA error {rank.driver.error})" if rank.driver.error else ""
        yield f"{start} NVIDIA's driver lists no GPU{code}. Check the device plugin and `nvidia-smi -L` on the node."
    elif not rank.usable:
        yield (
            f"{start} TensorFlow can't use any GPU. Use the trainer image with the tag suffix -gpu, which has CUDA's"
            " libraries. The rank's log names the missing ones."
        )


def _too_old(rank: RankDevices) -> Iterator[str]:
    """Yield why the driver or the GPU is too old for the trainer image for GPUs."""
    if rank.cuda_build and rank.driver is not None and rank.driver.cuda < MINIMUM_CUDA:
        yield (
            f"gpus_per_rank: NVIDIA's driver on '{rank.host}' supports CUDA {_version(rank.driver.cuda)}, but the"
            f" trainer image needs {_version(MINIMUM_CUDA)}. Install driver 580 or newer on the GPU nodes."
        )
    if rank.gpu is not None and rank.gpu.compute_capability < MINIMUM_COMPUTE_CAPABILITY:
        yield (
            f"gpus_per_rank: the GPU of rank {rank.rank} on '{rank.host}' has compute capability"
            f" {_version(rank.gpu.compute_capability)}, but the trainer image needs"
            f" {_version(MINIMUM_COMPUTE_CAPABILITY)} or newer. Use a newer GPU (T4 or later), or gpus_per_rank=0 to"
            " train on CPUs."
        )


def _too_few(rank: RankDevices) -> str:
    action = (
        "Turn GPU sharing off in the device plugin, or lower slots_per_worker."
        if rank.assigned
        else "Lower ranks, or set CUDA_VISIBLE_DEVICES=-1 to train on the CPU."
    )
    return (
        f"{'gpus_per_rank' if rank.assigned else 'ranks'}: the {rank.local_size} ranks on '{rank.host}' detect"
        f" {_count(rank.usable)}, but each needs its own. {action}"
    )


def _shared(ranks: Sequence[RankDevices]) -> Iterator[str]:
    owners: dict[str, RankDevices] = {}
    for rank in ranks:
        if rank.gpu is None:
            continue
        other = owners.setdefault(rank.gpu.uuid, rank)
        if other is not rank:
            yield (
                f"gpus_per_rank: ranks {other.rank} and {rank.rank} share GPU {rank.gpu.uuid} on '{rank.host}', but"
                " each needs its own. Turn GPU sharing (time-slicing, MPS) off in the device plugin, or lower ranks."
            )


def _count(gpus: int) -> str:
    return "1 GPU" if gpus == 1 else f"{gpus} GPUs"


def _version(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}.{numbers[1]}"
