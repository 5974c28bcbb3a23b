"""What a training asks of the cluster: the size of a rank, the pools that the pods go to, their environment."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from components.cluster.pod import POD_ENVIRONMENT_PREFIX
from components.errors import InputError

GPU = "nvidia.com/gpu"


class TaskConfig(Protocol):
    """What KFP passes on of a task's own configuration: `kfp.dsl.TaskConfig`. Each is None on a laptop.

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


class Toleration(BaseModel):
    """Kubernetes' toleration of a taint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = ""
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str = ""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    toleration_seconds: int | None = Field(None, alias="tolerationSeconds")


class Pool(BaseModel):
    """Nodes that pods go to.

    Attributes:
        node_selector: Labels of the nodes.
        tolerations: Tolerations of their taints.
        affinity: Kubernetes' `affinity`.
    """

    model_config = ConfigDict(frozen=True)

    node_selector: dict[str, str] = Field(default_factory=dict)
    tolerations: list[Toleration] = Field(default_factory=list)
    affinity: dict[str, Any] = Field(default_factory=dict)


class Resources(BaseModel):
    """What a container requests and is limited to, by resource, as Kubernetes writes quantities."""

    model_config = ConfigDict(frozen=True)

    requests: dict[str, str] = Field(default_factory=dict)
    limits: dict[str, str] = Field(default_factory=dict)


class JobOptions(BaseModel):
    """What is asked for.

    Attributes:
        slots_per_worker: Ranks in each worker pod.
        gpus_per_rank: GPUs of each rank; 0 leaves them to `rank_resources`.
        rank_resources: What each rank gets.
        rank_pool: Where the workers go.
        launcher_pool: Where the launcher goes, which needs no GPU.
        environment: Environment of all containers, as Kubernetes' `env`.
        volumes: Volumes of all pods.
        volume_mounts: Where they are mounted.
    """

    model_config = ConfigDict(frozen=True)

    slots_per_worker: int = Field(1, ge=1)
    gpus_per_rank: int = Field(0, ge=0)
    rank_resources: Resources = Resources()
    rank_pool: Pool = Pool()
    launcher_pool: Pool = Pool()
    environment: list[dict[str, Any]] = Field(default_factory=list)
    volumes: list[dict[str, Any]] = Field(default_factory=list)
    volume_mounts: list[dict[str, Any]] = Field(default_factory=list)

    @classmethod
    def make(
        cls,
        task: TaskConfig,
        slots_per_worker: int = 1,
        gpus_per_rank: int = 0,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any]] | None = None,
    ) -> Self:
        """Return what a task asks for.

        A task has one pool, its job can have two: with a node selector of their own, the workers go there, and the
        launcher goes where the task is, because it would only take cores from the ranks of a GPU node.

        Args:
            task: The task's own configuration, as KFP passes it on.
            slots_per_worker: Ranks in each worker pod.
            gpus_per_rank: GPUs of each rank; 0 takes the task's.
            node_selector: Labels of the workers' nodes; none means the task's pool.
            tolerations: Tolerations of the workers, beside those of the task.

        Raises:
            InputError: A value is not of its type, or below its least.
        """
        own = {
            "node_selector": task.node_selector or {},
            "tolerations": task.tolerations or [],
            "affinity": task.affinity or {},
        }
        workers = {
            "node_selector": node_selector or own["node_selector"],
            "tolerations": [*own["tolerations"], *(tolerations or [])],
            "affinity": own["affinity"],
        }
        try:
            return cls.model_validate(
                {
                    "slots_per_worker": slots_per_worker,
                    "gpus_per_rank": gpus_per_rank,
                    "rank_resources": task.resources or {},
                    "rank_pool": workers,
                    "launcher_pool": own,
                    "environment": _without_pod(task.env or []),
                    "volumes": task.volumes or [],
                    "volume_mounts": task.volume_mounts or [],
                }
            )
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{name}: {first['msg']}, got {first['input']!r}. Give another value.") from error


def _without_pod(environment: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what tells the task its own pod."""
    return [each for each in environment if not each["name"].startswith(POD_ENVIRONMENT_PREFIX)]
