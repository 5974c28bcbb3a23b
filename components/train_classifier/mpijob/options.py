"""The size, node pools and environment of an MPIJob's pods."""

from collections.abc import Sequence
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.cluster.pod import POD_ENVIRONMENT_PREFIX
from components.errors import InputError
from components.parameters import Placement
from components.parameters.pool import Toleration

GPU = "nvidia.com/gpu"


class TaskConfig(Protocol):
    """Configuration of the task itself, as KFP passes it: `kfp.dsl.TaskConfig`.

    All fields are None if the task runs without Kubernetes.

    Attributes:
        affinity: Kubernetes' `affinity`.
        tolerations: Kubernetes' `tolerations`.
        node_selector: Kubernetes' `nodeSelector`.
        env: A container's `env`.
        volumes: A pod's `volumes`.
        volume_mounts: A container's `volumeMounts`.
        resources: A container's `resources`.
    """

    affinity: dict[str, Any] | None
    tolerations: list[dict[str, Any]] | None
    node_selector: dict[str, str] | None
    env: list[dict[str, Any]] | None
    volumes: list[dict[str, Any]] | None
    volume_mounts: list[dict[str, Any]] | None
    resources: dict[str, Any] | None


class Pool(BaseModel):
    """A pool of nodes.

    Attributes:
        node_selector: Labels of the nodes.
        tolerations: Tolerations of the nodes' taints.
        affinity: Kubernetes' `affinity`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    affinity: dict[str, Any] = Field(default_factory=dict)


class JobOptions(BaseModel):
    """The size, pools and environment of a training's pods.

    Attributes:
        placement: Size and node pool of the ranks.
        accelerator_limit: GPU limit of the task, in Kubernetes' notation.
        rank_pool: Pool of the workers.
        launcher_pool: Pool of the launcher, which needs no GPU.
        environment: Environment variables of all containers, as Kubernetes' `env`.
        volumes: Volumes of all pods, as Kubernetes' `volumes`.
        volume_mounts: Mounts of the volumes, as Kubernetes' `volumeMounts`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: Placement = Placement()
    accelerator_limit: str = "0"
    rank_pool: Pool = Pool()
    launcher_pool: Pool = Pool()
    environment: list[dict[str, Any]] = Field(default_factory=list)
    volumes: list[dict[str, Any]] = Field(default_factory=list)
    volume_mounts: list[dict[str, Any]] = Field(default_factory=list)

    @property
    def rank_gpus(self) -> int:
        """Number of GPUs of each rank.

        It is `gpus_per_rank`, or the task's accelerator limit if `gpus_per_rank` is 0.

        Raises:
            InputError: The limit is not a whole number.
        """
        limit = self.accelerator_limit
        if not limit.isdecimal():
            raise InputError(f"{GPU}: '{limit}' is not a whole number. Correct the task's accelerator limit.")
        return self.placement.gpus_per_rank or int(limit)

    @classmethod
    def make(cls, task: TaskConfig, placement: Placement) -> Self:
        """Return the options of a task's MPIJob.

        A task has one pool, but its MPIJob can have two. The launcher always runs in the task's pool, because on a GPU
        node it would take cores from the ranks. The workers run in the pool that `placement` names, or else in the
        task's pool.

        Args:
            task: Configuration of the task, as KFP passes it.
            placement: Size and node pool of the ranks.

        Raises:
            InputError: The task's configuration is invalid, or a rank would get more than one GPU.
        """
        task_pool = {
            "node_selector": task.node_selector or {},
            "tolerations": task.tolerations or [],
            "affinity": task.affinity or {},
        }
        workers = {
            "node_selector": placement.gpu_node_selector or task_pool["node_selector"],
            "tolerations": [*task_pool["tolerations"], *placement.gpu_tolerations],
            "affinity": task_pool["affinity"],
        }
        try:
            options = cls.model_validate(
                {
                    "placement": placement,
                    "accelerator_limit": (task.resources or {}).get("limits", {}).get(GPU, "0"),
                    "rank_pool": workers,
                    "launcher_pool": task_pool,
                    "environment": _without_pod(task.env or []),
                    "volumes": task.volumes or [],
                    "volume_mounts": task.volume_mounts or [],
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{name}: {first['msg']}, got {first['input']!r}. Give another value.") from error
        if options.rank_gpus > 1:
            raise InputError(
                f"gpus_per_rank: a rank trains on one GPU, got {options.rank_gpus}. Use 1, and raise ranks and"
                " slots_per_worker to use more GPUs."
            )
        return options


def _without_pod(environment: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the environment variables without those that describe the task's own pod."""
    return [variable for variable in environment if not variable["name"].startswith(POD_ENVIRONMENT_PREFIX)]
