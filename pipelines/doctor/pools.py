"""The pools of the recurring runs: nodes, image and requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp.dsl import TaskConfig

from components.container_images import ContainerImages
from components.parameters.forms import Form, LabelingForm, TrainingForm
from components.train_classifier.mpijob.manifest import worker_resources
from components.train_classifier.mpijob.options import JobOptions
from pipelines import platform
from pipelines.doctor.context import Context


@dataclass(frozen=True)
class Pool:
    """A pool of nodes.

    Attributes:
        field: Parameter that selects the nodes.
        image: Image of the pods.
        node_selector: Labels of the nodes.
        tolerations: Tolerations of the nodes' taints, in Kubernetes' notation.
        requests: Requested resources of the largest pod, by resource.
    """

    field: str
    image: str
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    requests: Mapping[str, str]


def task_images() -> ContainerImages:
    """Return the images of tasks and ranks.

    The environment of the doctor's pod names the image of the tasks only, because kustomize replaces no other image
    there. The trainer images are in the same registry and have the same tag.
    """
    images, committed = ContainerImages(), ContainerImages.committed()
    name, _, version = committed.spark_image.partition(":")
    registry, found, tag = images.spark_image.rpartition(f"/{name}:")
    if not found or images.trainer_image != committed.trainer_image:
        return images
    return ContainerImages.in_registry(registry, "" if tag == version else tag)


def pools_of(context: Context) -> list[Pool]:
    """Return the pools of the valid recurring runs, each once.

    Without such runs, these are the pools of the default parameters.
    """
    forms = [(f"{run.name}.", run.form) for run in context.runs if run.is_valid] or [("", TrainingForm())]
    found: list[Pool] = []
    for prefix, form in forms:
        for pool in _pools(context, prefix, form):
            if not any(_place(pool) == _place(other) for other in found):
                found.append(pool)
    return found


def _pools(context: Context, prefix: str, form: Form) -> list[Pool]:
    images = task_images()
    tolerations = [each.model_dump() for each in form.cpu_tolerations]
    pools = [
        Pool(
            f"{prefix}cpu_node_selector",
            images.spark_image,
            form.cpu_node_selector,
            tuple(tolerations),
            {"cpu": platform.SPARK.cpu, "memory": platform.SPARK.memory},
        )
    ]
    if isinstance(form, TrainingForm | LabelingForm) and (
        (form.placement.launcher or context.settings.launcher) == "mpijob"
    ):
        task = TaskConfig(node_selector=form.cpu_node_selector, tolerations=tolerations)
        options = JobOptions.make(task, form.placement)
        resources = worker_resources(options)
        pools.append(
            Pool(
                f"{prefix}placement.gpu_node_selector",
                images.trainer_for(options.rank_gpus),
                options.rank_pool.node_selector,
                tuple(each.model_dump() for each in options.rank_pool.tolerations),
                {**resources["limits"], **resources["requests"]},
            )
        )
    return pools


def _place(pool: Pool) -> tuple[Any, ...]:
    return pool.image, dict(pool.node_selector), pool.tolerations, dict(pool.requests)
