"""The pod that a task runs in.

Compiled pipelines set these fields in the environment of each task.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX

POD_ENVIRONMENT_PREFIX = f"{ENVIRONMENT_PREFIX}POD_"

# Labels of all pods that the pipelines start. Network policies and cloud identities select by them.
LABELS: Mapping[str, str] = MappingProxyType(
    {"app.kubernetes.io/part-of": "image-pipelines", "azure.workload.identity/use": "true"}
)

# Field paths of Kubernetes' downward API by field of `Pod`.
FIELD_PATHS: Mapping[str, str] = MappingProxyType(
    {"name": "metadata.name", "namespace": "metadata.namespace", "uid": "metadata.uid", "ip": "status.podIP"}
)


class Pod(BaseSettings):
    """The task's own pod, read from `IMAGE_PIPELINES_POD_<FIELD>`.

    Attributes:
        name: Name of the pod.
        namespace: Namespace of the pod, and of all objects that the task creates.
        uid: Unique id of the pod, for owner references.
        ip: IP address of the pod, at which executors reach Spark's driver.
    """

    model_config = SettingsConfigDict(env_prefix=POD_ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True)

    name: str
    namespace: str
    uid: str
    ip: str

    @classmethod
    def current(cls) -> Self:
        """Return this task's pod.

        Raises:
            InputError: The environment lacks a field.
        """
        try:
            return cls()
        except ValidationError as error:
            variable = f"{POD_ENVIRONMENT_PREFIX}{error.errors()[0]['loc'][0]}".upper()
            raise InputError(
                f"{variable}: not set. Run this task in a compiled pipeline, or set the variable with a fieldRef in the"
                " pod's environment."
            ) from error
