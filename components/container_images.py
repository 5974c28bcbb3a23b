"""The container images that the compiled pipelines name."""

import re
from typing import Self

from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX

VERSION = "0.1.0"

_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


class ContainerImages(BaseSettings):
    """Full names of the images, read from `IMAGE_PIPELINES_<FIELD>`.

    What the environment says when a pipeline is compiled is written into it, as image of its tasks and as their
    environment: so a task starts others of the very images that it was compiled for.

    Attributes:
        spark_image: Of the tasks and of Spark's executors.
        trainer_image: Of the Horovod ranks.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True)

    # The names say `python` because kfp.local warns about every base image that does not.
    spark_image: str = f"image-pipelines/spark-python:{VERSION}"
    trainer_image: str = f"image-pipelines/trainer-python:{VERSION}"

    @classmethod
    def committed(cls) -> Self:
        """Return the images that the committed files name, whatever the environment says."""
        return cls.model_validate({name: field.default for name, field in cls.model_fields.items()})

    @classmethod
    def in_registry(cls, registry: str, tag: str) -> Self:
        """Return the images of a registry.

        Args:
            registry: As in `registry.example.com/team`.
            tag: The images' tag; empty for this version's.

        Raises:
            InputError: The registry or the tag is none.
        """
        if not _REGISTRY.fullmatch(registry):
            raise InputError(
                f"registry: '{registry}' is not the start of an image's name. Write it without a scheme and without a"
                " slash at its end, as in registry.example.com/team."
            )
        if tag and not _TAG.fullmatch(tag):
            raise InputError(f"tag: '{tag}' is no image's tag. Use letters, digits, dots, hyphens and underscores.")
        names = ((name, field.default.partition(":")[0]) for name, field in cls.model_fields.items())
        return cls.model_validate({name: f"{registry}/{image}:{tag or VERSION}" for name, image in names})


_IMAGES = ContainerImages()
SPARK = _IMAGES.spark_image
TRAINER = _IMAGES.trainer_image
