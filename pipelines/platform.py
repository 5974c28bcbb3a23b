"""The pool, resources, retries, time limit, settings and labels of each task on a cluster.

They are compiled into the pipelines, because an overlay of the manifests can't change the pods that KFP creates.
"""

from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask
from pydantic import SecretStr

from components.cluster.pod import FIELD_PATHS, LABELS, POD_ENVIRONMENT_PREFIX
from components.container_images import ContainerImages
from components.pipeline_run import RUN_ID_FIELD_PATH, RUN_ID_VARIABLE
from components.settings import ENVIRONMENT_PREFIX, RENAMED, Settings, variable

CONFIG_MAP = "image-pipelines-settings"
SECRET = "image-pipelines-secrets"  # noqa: S105 - the name of a Secret

CPU_NODE_SELECTOR = {"pool": "cpu"}
CPU_TOLERATIONS: list[dict[str, str]] = []

# Maximum number of pods that Argo starts for a task after the first one, if its retry policy allows a retry.
RETRIES = 2
BACKOFF_SECONDS = 5
BACKOFF_FACTOR = 2


@dataclass(frozen=True)
class Size:
    """The resources, the time limit and the retries of a task.

    Attributes:
        cpu: Requested cores. There is no limit, so that the task can use idle cores.
        memory: Request and limit, e.g. `4Gi`.
        timeout_seconds: Time after which Kubernetes ends a pod of the task.
        retries: Maximum number of pods after the first one, 0 or more.
    """

    cpu: str
    memory: str
    timeout_seconds: int
    retries: int = RETRIES


# The size of check_parameters. It depends on its inputs only, so a retry would fail, too.
CHECK = Size(cpu="250m", memory="512Mi", timeout_seconds=600, retries=0)
SMALL = Size(cpu="500m", memory="1Gi", timeout_seconds=600)
SPARK = Size(cpu="2", memory="6Gi", timeout_seconds=12 * 3600)
# The size of train_classifier, which submits the ranks and watches them. The size of the ranks is a parameter of the
# component. It can't be the size of the task: KFP's compiler does not pass pipeline parameters for a task's resources
# into the group of an exit handler.
SUBMITTER = Size(cpu="250m", memory="1Gi", timeout_seconds=48 * 3600)

# A pod can wait for a node for a day, e.g. in a queue for GPUs. Its time limit starts only when it has a node.
WAIT_FOR_NODE_SECONDS = 24 * 3600


def retry_window_seconds(timeout_seconds: int) -> int:
    """Return the time in which a task may be retried, in seconds from the start of its first pod.

    Argo ends the last pod when this time is over. So the time covers the waits and the time limits of all pods.

    Args:
        timeout_seconds: Time limit of one pod.
    """
    backoffs: int = sum(BACKOFF_SECONDS * BACKOFF_FACTOR**retry for retry in range(RETRIES))
    return (RETRIES + 1) * (timeout_seconds + WAIT_FOR_NODE_SECONDS) + backoffs


def environment(secret: bool) -> dict[str, str]:
    """Return the variables of the settings by key of the ConfigMap or the Secret.

    A variable has the name of its key. The keys include the old names of settings, so that `Settings` refuses them
    and names the new ones. A task would ignore other keys.

    Args:
        secret: Whether to return the keys of the Secret.
    """
    settings = {name: name for name in Settings.model_fields} | RENAMED
    return {
        variable(key): variable(key)
        for key, name in settings.items()
        if (Settings.model_fields[name].annotation == SecretStr | None) is secret
    }


def configure(task: PipelineTask, size: Size, node_selector: Any, tolerations: Any) -> PipelineTask:
    """Set the size, the pool, the settings and the labels of a task.

    Args:
        task: The task.
        size: Resources, time limit and retries of the task.
        node_selector: Pipeline parameter with the labels of the nodes in the task's pool.
        tolerations: Pipeline parameter with the tolerations of the pool's taints.
    """
    task.set_cpu_request(size.cpu).set_memory_request(size.memory).set_memory_limit(size.memory)
    if size.retries:
        task.set_retry(
            size.retries,
            backoff_duration=f"{BACKOFF_SECONDS}s",
            backoff_factor=BACKOFF_FACTOR,
            backoff_max_duration=f"{retry_window_seconds(size.timeout_seconds)}s",
        )
    # The outputs of a task depend on the lake and the registry, not only on its inputs.
    task.set_caching_options(False)
    kubernetes.set_timeout(task, size.timeout_seconds)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    for key, value in LABELS.items():
        kubernetes.add_pod_label(task, key, value)
    for name, path in FIELD_PATHS.items():
        kubernetes.use_field_path_as_env(task, POD_ENVIRONMENT_PREFIX + name.upper(), path)
    kubernetes.use_field_path_as_env(task, RUN_ID_VARIABLE, RUN_ID_FIELD_PATH)
    for name, image in ContainerImages().model_dump().items():
        task.set_env_variable(ENVIRONMENT_PREFIX + name.upper(), image)
    kubernetes.use_config_map_as_env(task, CONFIG_MAP, environment(secret=False), optional=True)
    kubernetes.use_secret_as_env(task, SECRET, environment(secret=True), optional=True)
    return task
