"""Parameters of the nodes and the size of ranks."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from components.parameters.options import CHOICE, Integer, Options
from components.parameters.pool import NodeSelector, Toleration, Tolerations, plain_number
from components.parameters.quantity import cores, memory_bytes

_Quantity = Annotated[str, BeforeValidator(plain_number)]


class Placement(Options):
    """Where the ranks of a training run, and how large they are."""

    launcher: Annotated[Literal["", "local", "mpijob"], CHOICE] = Field(
        "",
        description="How ranks are started: `local` as processes of the task, `mpijob` in pods of an MPIJob. If empty,"
        " the setting `launcher` applies. All other keys are for `mpijob` only.",
    )
    gpu_node_selector: NodeSelector = Field(
        {"pool": "gpu"},
        description="Labels of the nodes that the ranks run on. `{}` takes the labels of the task's own nodes. Change"
        " it if your GPU nodes have other labels.",
    )
    gpu_tolerations: Tolerations = Field(
        [Toleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")],
        description="Tolerations of the taints of the nodes that the ranks run on, in addition to the tolerations of"
        " the task. Change it if your GPU nodes have other taints.",
    )
    gpus_per_rank: Integer = Field(
        1,
        ge=0,
        le=1,
        description="Number of GPUs of each rank. 0 trains on CPUs, unless the task itself has a GPU limit.",
    )
    slots_per_worker: Integer = Field(
        1,
        ge=1,
        description="Number of ranks in each worker pod. `ranks` must be a multiple of it. Raise it if a node has"
        " several GPUs.",
    )
    rank_cpu: _Quantity = Field(
        "2",
        description="Number of CPU cores that each rank requests, e.g. `2` or `500m`. A rank may also use idle cores"
        " of its node. TensorFlow has one thread per requested core. Raise it if GPUs wait for images.",
    )
    rank_memory: _Quantity = Field(
        "6Gi",
        description="Memory request and limit of each rank, e.g. `6Gi`. Raise it if ranks are killed because they run"
        " out of memory.",
    )

    @field_validator("rank_cpu")
    @classmethod
    def _is_a_number_of_cores(cls, value: str) -> str:
        cores(value)
        return value

    @field_validator("rank_memory")
    @classmethod
    def _is_an_amount_of_memory(cls, value: str) -> str:
        memory_bytes(value)
        return value


def check_slots(ranks: int, placement: Placement) -> None:
    """Check that worker pods can hold the ranks.

    Raises:
        ValueError: The slots do not divide the ranks.
    """
    if placement.launcher != "local" and ranks % placement.slots_per_worker:
        raise ValueError(
            f"placement.slots_per_worker: {placement.slots_per_worker} does not divide {ranks} ranks. Give a number"
            " that does."
        )
