"""The container images that the compiled pipelines name."""

from pydantic_settings import BaseSettings, SettingsConfigDict

from components.settings import ENVIRONMENT_PREFIX

VERSION = "0.1.0"


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


_IMAGES = ContainerImages()
SPARK = _IMAGES.spark_image
TRAINER = _IMAGES.trainer_image
