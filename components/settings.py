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
    validation_fraction: float | None = Field(
        None, description="Part of the images for early stopping when the lake is made, else 0.1; then fixed."
    )
    test_fraction: float | None = Field(
        None, description="Part of the images for the gate when the lake is made, else 0.1; then fixed."
    )
    split_seed: int | None = Field(
        None, description="Mixed into the hash that divides images when the lake is made, else 0; then fixed."
    )
    lock: str = Field(
        "",
        description="How writers of one table are kept apart: by files below a local lake if empty, by files in an"
        " absolute folder if all writers are on one machine, by `lease` of Kubernetes.",
    )
    s3_endpoint: str = Field("", description="URL of the S3 server of s3a:// URIs; empty for Amazon's.")
    s3_region: str = Field("", description="Region of the buckets; empty lets the client find out.")
    s3_access_key: SecretStr | None = Field(
        None, description="Access key of s3a:// URIs; empty takes what AWS's own variables, files and roles say."
    )
    s3_secret_key: SecretStr | None = Field(None, description="Secret of the access key.")
    azure_account_key: SecretStr | None = Field(
        None, description="Key of the storage account of abfss:// URIs; empty takes the workload identity."
    )
    azure_client_id: str = Field(
        "",
        description="Client id of the workload identity (also AZURE_CLIENT_ID, which Azure sets).",
        validation_alias=AliasChoices("IMAGE_PIPELINES_AZURE_CLIENT_ID", "AZURE_CLIENT_ID", "azure_client_id"),
    )
    azure_tenant_id: str = Field(
        "",
        description="Tenant of the workload identity (also AZURE_TENANT_ID, which Azure sets).",
        validation_alias=AliasChoices("IMAGE_PIPELINES_AZURE_TENANT_ID", "AZURE_TENANT_ID", "azure_tenant_id"),
    )
    azure_token_file: str = Field(
        "/var/run/secrets/azure/tokens/azure-identity-token",
        description="File of the workload identity's token (also AZURE_FEDERATED_TOKEN_FILE, which Azure sets).",
        validation_alias=AliasChoices(
            "IMAGE_PIPELINES_AZURE_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE", "azure_token_file"
        ),
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
    launcher: str = Field("local", description="How ranks are started: local or mpijob.")
    trainer_python: Path = Field(
        Path("python3"), description="Python of the trainer environment, for the local launcher."
    )
    job_created_timeout_seconds: float = Field(
        300, gt=0, description="How long the MPI operator may take to take up a job."
    )
    job_scheduled_timeout_seconds: float = Field(
        1800, gt=0, description="How long a job's workers may wait for a place, as for nodes that are added on demand."
    )
    job_running_timeout_seconds: float = Field(
        1800, gt=0, description="How long a job's pods may take to run, as for an image that is pulled."
    )
    job_finished_timeout_seconds: float = Field(
        47 * 3600, gt=0, description="How long a job may train; less than the task's own time limit of 48 hours."
    )
    heartbeat_timeout_seconds: float = Field(
        120, gt=0, description="How long ranks train on without a sign of life of the task that watches them."
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
    annotations_source: str = Field(
        "", description="Folder or file URI, or Azure Blob container URL, where the labelling service puts its answers."
    )
    labeling_destination: str = Field(
        "", description="Folder URI or Azure Blob container URL that images to label go to."
    )
    azure_storage_connection_string: SecretStr | None = Field(
        None, description="Access to the labelling store's Azure Blob container; empty takes the workload identity."
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
