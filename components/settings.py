"""Settings of an installation, typed and read once from the environment.

On a laptop they come from the shell, on a cluster from an optional ConfigMap and an optional Secret that the compiled
pipelines set as environment of every task.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError

ENVIRONMENT_PREFIX = "IMAGE_PIPELINES_"


class Settings(BaseSettings):
    """What differs between two places where the same pipelines run.

    Each field is read from `IMAGE_PIPELINES_<FIELD>`, unless its description names another variable.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True)

    lake: str = Field(
        "", description="Root URI of the lake: file:///..., s3a://bucket/... or abfss://container@account/..."
    )
    mlflow_tracking_uri: str = Field(
        "",
        description="MLflow's tracking and registry URI (also MLFLOW_TRACKING_URI).",
        validation_alias=AliasChoices(
            "IMAGE_PIPELINES_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI", "mlflow_tracking_uri"
        ),
    )
    experiment: str = Field("image-classifier", description="MLflow experiment of new trainings.")
    model_name: str = Field("image-classifier", description="Name of the registered model.")
    launcher: str = Field("local", description="How ranks are started: local.")
    trainer_python: Path = Field(
        Path("python3"), description="Python of the trainer environment, for the local launcher."
    )
    spark_master: str = Field(
        "local[*]",
        description="Spark's master URL: local[*], or k8s://https://kubernetes.default.svc for executors in pods.",
    )
    spark_driver_memory: str = Field("2g", description="Heap of Spark's driver, as in 2g.")
    spark_driver_java_options: str = Field("", description="JVM options of Spark's driver, as in -XX:+UseSerialGC.")
    spark_minimum_executors: int = Field(2, ge=1, description="Executor pods that a Spark task has at least.")
    spark_maximum_executors: int = Field(8, ge=1, description="Executor pods that a Spark task has at most.")
    spark_executor_cores: int = Field(2, ge=1, description="Cores of an executor, and tasks it runs at a time.")
    spark_executor_memory: str = Field("2g", description="Heap of an executor, as in 2g.")
    spark_executor_memory_overhead: str = Field(
        "3g", description="Memory of an executor beside its heap: its Python workers, with a model in each."
    )
    lock_timeout_seconds: float = Field(600, gt=0, description="How long a step waits for another writer of its table.")
    labelled_source: str = Field("", description="Folder URI where labelled images land.")
    unlabelled_source: str = Field("", description="Folder URI where images without labels land.")
    annotations_source: str = Field("", description="Folder or file URI where the labelling service puts its answers.")
    labeling_destination: str = Field(
        "", description="Folder URI or Azure Blob container URL that images to label go to."
    )
    azure_storage_connection_string: SecretStr | None = Field(
        None, description="Access to the Azure Blob container of the labelling store."
    )
    smtp_host: str = Field("", description="Mail server of notifications; without one they go to the log only.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_username: str = Field("", description="User at the mail server; empty for none.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_starttls: bool = Field(True, description="Whether the connection to the mail server is encrypted by STARTTLS.")
    smtp_sender: str = Field("image-pipelines@localhost", description="Sender of notifications.")

    @classmethod
    def load(cls, **parameters: Any) -> Self:
        """Read the settings; a pipeline parameter that is not `""` goes before the environment.

        Args:
            **parameters: Fields by name, as given to a pipeline.

        Raises:
            InputError: A value is missing or not of its field's type.
        """
        try:
            return cls(**{name: value for name, value in parameters.items() if value not in ("", None)})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0]) if first["loc"] else "settings"
            raise InputError(
                f"{name}: {first['msg']}. Set the parameter, or {ENVIRONMENT_PREFIX}{name.upper()} in the environment."
            ) from error

    def required(self, name: str) -> str:
        """Return the text setting `name`.

        Raises:
            InputError: It is empty.
        """
        value = str(getattr(self, name))
        if not value:
            raise InputError(
                f"{name}: not set. Give the pipeline parameter, or set {ENVIRONMENT_PREFIX}{name.upper()} in the"
                " environment."
            )
        return value
