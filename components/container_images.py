"""The container images of the compiled pipelines."""

import re
from typing import Self

from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX

VERSION = "0.2.0"

# Suffixes of the trainer image's tag, which images/build.sh appends.
_CPU, _GPU = "-cpu", "-gpu"

_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
# Registries allow 128 characters. The suffix takes four of them.
_TAG = re.compile(r"\w[\w.-]{0,123}", re.ASCII)


class ContainerImages(BaseSettings):
    """Full names of the images, read from `IMAGE_PIPELINES_<FIELD>`.

    A compiled pipeline contains the names that the environment had when it was compiled, both as the image of its tasks
    and in their environment. So tasks start pods with the same images.

    Attributes:
        spark_image: Image of the tasks and of Spark's executors.
        trainer_image: Image of Horovod ranks on CPUs.
        trainer_gpu_image: Image of Horovod ranks on GPUs.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True)

    # The names contain `python` because kfp.local warns about any other base image.
    spark_image: str = f"image-pipelines/spark-python:{VERSION}"
    trainer_image: str = f"image-pipelines/trainer-python:{VERSION}{_CPU}"
    trainer_gpu_image: str = f"image-pipelines/trainer-python:{VERSION}{_GPU}"

    def trainer_for(self, gpus: int) -> str:
        """Return the image of ranks.

        Args:
            gpus: Number of GPUs of each rank.
        """
        return self.trainer_gpu_image if gpus else self.trainer_image

    @classmethod
    def committed(cls) -> Self:
        """Return the images of the committed files, regardless of the environment."""
        return cls.model_validate({name: field.default for name, field in cls.model_fields.items()})

    @classmethod
    def in_registry(cls, registry: str, tag: str) -> Self:
        """Return the images of a registry.

        Args:
            registry: Registry and path, e.g. `registry.example.com/team`.
            tag: Tag of the images, without the trainer's suffix. Empty: this version.

        Raises:
            InputError: The registry or the tag is invalid.
        """
        if not _REGISTRY.fullmatch(registry):
            raise InputError(
                f"registry: '{registry}' can't begin an image name. Write it without a scheme and a final slash, e.g."
                " registry.example.com/team."
            )
        if tag and not _TAG.fullmatch(tag):
            raise InputError(
                f"tag: '{tag}' is invalid. Use letters, digits, dots, hyphens and underscores, at most 124 of them."
            )
        committed = cls.committed().model_dump()
        return cls.model_validate(
            {
                name: f"{registry}/{image.replace(f':{VERSION}', f':{tag or VERSION}')}"
                for name, image in committed.items()
            }
        )


_IMAGES = ContainerImages()
SPARK = _IMAGES.spark_image
TRAINER = _IMAGES.trainer_image
TRAINER_GPU = _IMAGES.trainer_gpu_image
