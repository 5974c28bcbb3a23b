"""The pod that a task runs in, as the compiled pipelines tell each task by its environment."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX

POD_ENVIRONMENT_PREFIX = f"{ENVIRONMENT_PREFIX}POD_"

# Kubernetes' downward API, by field.
FIELD_PATHS: Mapping[str, str] = MappingProxyType(
    {"name": "metadata.name", "namespace": "metadata.namespace", "uid": "metadata.uid", "ip": "status.podIP"}
)


class Pod(BaseSettings):
    """The task's own pod, read from `IMAGE_PIPELINES_POD_<FIELD>`.

    Attributes:
        name: Its name.
        namespace: The namespace that it, and all that it makes, lives in.
        uid: Its unique id, for owner references.
        ip: Its address, that executors reach the driver by.
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
            InputError: The environment does not tell it.
        """
        try:
            return cls()
        except ValidationError as error:
            variable = f"{POD_ENVIRONMENT_PREFIX}{error.errors()[0]['loc'][0]}".upper()
            raise InputError(
                f"{variable}: not set, so this task does not know its pod. Run it from a compiled pipeline, or set it"
                " by a fieldRef in the pod's environment."
            ) from error
