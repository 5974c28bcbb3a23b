"""What every task of the compiled pipelines gets on a cluster: pool, resources, retries, time limit, settings, labels.

It is compiled in, because an overlay of the manifests can't reach the pods that KFP makes for tasks.
"""

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask
from pydantic import SecretStr

from components.cluster.labels import LABELS
from components.cluster.pod import FIELD_PATHS, POD_ENVIRONMENT_PREFIX
from components.container_images import ContainerImages
from components.settings import ENVIRONMENT_PREFIX, Settings

CONFIG_MAP = "image-pipelines-settings"
SECRET = "image-pipelines-secrets"  # noqa: S105 - the name of a Secret

CPU_NODE_SELECTOR = {"pool": "cpu"}
CPU_TOLERATIONS: list[dict[str, str]] = []

GPU_NODE_SELECTOR = {"pool": "gpu"}
GPU_TOLERATIONS = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
GPUS_PER_RANK = 1


@dataclass(frozen=True)
class Size:
    """What a task may use.

    Attributes:
        cpu: Cores requested; there is no limit, so that idle ones are used.
        memory: Requested and limited, as in `4Gi`.
        timeout_seconds: After this long the task is ended.
    """

    cpu: str
    memory: str
    timeout_seconds: int


SMALL = Size(cpu="500m", memory="1Gi", timeout_seconds=600)
MODEL = Size(cpu="2", memory="6Gi", timeout_seconds=4 * 3600)
SPARK = Size(cpu="2", memory="6Gi", timeout_seconds=12 * 3600)
# Of each rank: the task passes it on to its job. No pipeline parameters, because KFP's compiler does not hand those
# that are resources down into the group of an exit handler, and a run fails.
RANK = Size(cpu="2", memory="6Gi", timeout_seconds=48 * 3600)

RETRIES = 2


def _environment(secret: bool) -> dict[str, str]:
    """Return the environment variable of each setting, by its key in the ConfigMap or the Secret: the same name."""
    names = (
        ENVIRONMENT_PREFIX + name.upper()
        for name, field in Settings.model_fields.items()
        if (field.annotation == SecretStr | None) is secret
    )
    return {name: name for name in names}


def configure(task: PipelineTask, size: Size, node_selector: Any, tolerations: Any) -> PipelineTask:
    """Set on a task what every task gets.

    Args:
        task: The task.
        size: Its resources and time limit.
        node_selector: Pipeline parameter with the labels of its pool's nodes.
        tolerations: Pipeline parameter with the tolerations of its pool's taints.
    """
    task.set_cpu_request(size.cpu).set_memory_request(size.memory).set_memory_limit(size.memory)
    task.set_retry(RETRIES, backoff_duration="5s", backoff_factor=2, backoff_max_duration="60s")
    # What a task returns depends on the lake and the registry, not only on its inputs.
    task.set_caching_options(False)
    kubernetes.set_timeout(task, size.timeout_seconds)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    for key, value in LABELS.items():
        kubernetes.add_pod_label(task, key, value)
    for name, path in FIELD_PATHS.items():
        kubernetes.use_field_path_as_env(task, POD_ENVIRONMENT_PREFIX + name.upper(), path)
    for name, image in ContainerImages().model_dump().items():
        task.set_env_variable(ENVIRONMENT_PREFIX + name.upper(), image)
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, _environment(secret=False), optional=True)
    kubernetes.use_secret_as_env(task, SECRET, _environment(secret=True), optional=True)
    return task
