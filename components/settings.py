"""Settings of an installation, typed and read from the environment.

A laptop sets them in the shell. A cluster sets them in a ConfigMap and a Secret, both optional, from which the compiled
pipelines set the environment of every task.
"""

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from components.errors import InputError
from components.parameters.parse import explain

ENVIRONMENT_PREFIX = "IMAGE_PIPELINES_"

# Variables with this prefix that other code reads, not `Settings`.
OTHER_VARIABLES = frozenset(
    ENVIRONMENT_PREFIX + name
    for name in (
        # components.container_images
        "SPARK_IMAGE",
        "TRAINER_IMAGE",
        "TRAINER_GPU_IMAGE",
        # components.cluster.pod
        "POD_NAME",
        "POD_NAMESPACE",
        "POD_UID",
        "POD_IP",
        # components.pipeline_run
        "RUN_ID",
        # The ranks of a training.
        "RANK_GPUS",
        # The command line.
        "REGISTRY",
        "TAG",
        # The tests.
        "TEST_HOST",
        "TEST_KILLS",
        "TEST_LOAD",
        "TEST_RESTART_API_SERVER",
    )
)
# Pipeline parameter that overrides a setting, by setting.
_PARAMETERS = {
    "lake": "lake",
    "model_name": "model_name",
    "labeled_source": "source",
    "unlabeled_source": "source",
    "annotations_source": "source",
    "labeling_destination": "destination",
}
# Current names of settings, by the name in earlier releases.
RENAMED = {"labelled_source": "labeled_source", "unlabelled_source": "unlabeled_source"}
# Settings of earlier releases that are no longer needed, and why.
REMOVED = {"ingest_known_files_limit": "the driver's memory no longer limits the files of a landing folder"}

# As Java and Spark write it. Without a unit, Spark takes MiB.
_MEMORY = re.compile(r"[1-9]\d*[kmgt]?b?", re.IGNORECASE | re.ASCII)

# Kubernetes adds such variables to each pod for each Service, e.g. for `image-pipelines-mlflow`.
_SERVICE_HOST = "_SERVICE_HOST"
_SERVICE_VARIABLE = re.compile(r"_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")


class Settings(BaseSettings):
    """Everything that differs between two installations of the same pipelines.

    Each field is read from `IMAGE_PIPELINES_<FIELD>`. A description names a second variable, if there is one.
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, env_ignore_empty=True, frozen=True)

    lake: str = Field(
        "",
        description="Root URI of the lake: file:///..., s3a://bucket/..., abfss://container@account/... or"
        " gs://bucket/...",
    )
    validation_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Fraction of the images for early stopping, 0..1. Used when the lake is created; another value"
        " later is refused. Unset: 0.1.",
    )
    test_fraction: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Fraction of the images for the gate, 0..1. Used when the lake is created; another value later is"
        " refused. Unset: 0.1.",
    )
    split_seed: int | None = Field(
        None,
        description="Seed of the hash that splits images. Used when the lake is created; another value later is"
        " refused. Unset: 0.",
    )
    lock: str = Field(
        "",
        description="Lock that lets one writer at a time into a table: `lease` for a Kubernetes Lease, or an absolute"
        " folder for lock files if all writers run on one machine. Empty: lock files in a local lake.",
    )
    s3_endpoint: str = Field("", description="URL of the S3 server of s3a:// URIs. Empty: Amazon's.")
    s3_region: str = Field("", description="Region of the buckets. Empty: the client determines it.")
    s3_access_key: SecretStr | None = Field(
        None, description="Access key of s3a:// URIs. Empty: AWS's own variables, files and roles."
    )
    s3_secret_key: SecretStr | None = Field(None, description="Secret key that belongs to the access key.")
    azure_account_key: SecretStr | None = Field(
        None, description="Key of the storage account of abfss:// URIs. Empty: the workload identity."
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
        description="Token file of the workload identity (also AZURE_FEDERATED_TOKEN_FILE, which Azure sets).",
        validation_alias=AliasChoices(
            "IMAGE_PIPELINES_AZURE_TOKEN_FILE", "AZURE_FEDERATED_TOKEN_FILE", "azure_token_file"
        ),
    )
    gcs_endpoint: str = Field(
        "",
        description="URL of an emulator of Google Cloud Storage for gs:// URIs, used without credentials. Empty:"
        " Google's, with the application default credentials, e.g. the workload identity of GKE.",
    )
    mlflow_tracking_uri: str = Field(
        "",
        description="URI of MLflow's tracking server and model registry (also MLFLOW_TRACKING_URI).",
        validation_alias=AliasChoices(
            "IMAGE_PIPELINES_MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_URI", "mlflow_tracking_uri"
        ),
    )
    experiment: str = Field("image-classifier", description="MLflow experiment of new trainings.")
    model_name: str = Field("image-classifier", description="Name of the registered model.")
    launcher: Literal["local", "mpijob"] = Field("local", description="Launcher of the ranks: local or mpijob.")
    trainer_python: Path = Field(
        Path("python3"), description="Python of the trainer environment, for the local launcher."
    )
    job_created_timeout_seconds: float = Field(
        300, gt=0, description="Seconds in which the MPI operator has to create a job's pods."
    )
    job_scheduled_timeout_seconds: float = Field(
        1800, gt=0, description="Seconds in which a job's workers have to be scheduled, new nodes included."
    )
    job_running_timeout_seconds: float = Field(
        1800, gt=0, description="Seconds in which a job's pods have to run, the pull of their image included."
    )
    job_finished_timeout_seconds: float = Field(
        47 * 3600, gt=0, description="Seconds in which a job has to end; less than the task's own limit of 48 hours."
    )
    stall_timeout_seconds: float = Field(
        1800,
        gt=0,
        description="Seconds without a step of a training, or progress before its first step, after which its ranks"
        " end. Raise it if a step takes longer.",
    )
    heartbeat_timeout_seconds: float = Field(
        120, gt=0, description="Seconds without a heartbeat of the training's task after which its ranks end."
    )
    spark_master: str = Field(
        "local[*]",
        description="Spark's master URL: local[*], or k8s://https://kubernetes.default.svc for executors in pods.",
    )
    spark_driver_memory: str = Field("2g", description="Heap of Spark's driver, e.g. 2g.")
    spark_driver_java_options: str = Field("", description="JVM options of Spark's driver, e.g. -XX:+UseSerialGC.")
    spark_minimum_executors: int = Field(2, ge=1, description="Minimum number of executor pods of a Spark task.")
    spark_maximum_executors: int = Field(8, ge=1, description="Maximum number of executor pods of a Spark task.")
    spark_executor_cores: int = Field(2, ge=1, description="Cores of an executor, which runs a Spark task on each.")
    spark_executor_memory: str = Field("2g", description="Heap of an executor, e.g. 2g.")
    spark_executor_memory_overhead: str = Field(
        "3g", description="Memory of an executor beside its heap, for Python workers, each of which loads the model."
    )
    lock_timeout_seconds: float = Field(600, gt=0, description="Seconds that a step waits for a lock.")
    rescore_days: int = Field(
        30,
        ge=0,
        description="Days: after a promotion, the new champion also scores unlabeled images that were ingested this"
        " recently. 0: it scores new images only.",
    )
    labeled_source: str = Field("", description="URI of the landing folder of labeled images.")
    unlabeled_source: str = Field("", description="URI of the landing folder of images without labels.")
    annotations_source: str = Field(
        "",
        description="Folder or file URI, or Azure Blob container URL, where the labeling service writes annotations.",
    )
    labeling_destination: str = Field(
        "", description="Folder URI or Azure Blob container URL to which images for labeling are exported."
    )
    azure_storage_connection_string: SecretStr | None = Field(
        None, description="Connection string of the labeling store on Azure Blob. Empty: the workload identity."
    )
    ui_endpoint: str = Field(
        "",
        description="URL of Kubeflow Pipelines' UI, for links in notifications (also KF_PIPELINES_UI_ENDPOINT). Empty:"
        " no links.",
        validation_alias=AliasChoices("IMAGE_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "ui_endpoint"),
    )
    smtp_host: str = Field("", description="Mail server of notifications. Empty: notifications go to the log only.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_username: str = Field("", description="User at the mail server. Empty: no login.")
    smtp_password: SecretStr | None = Field(None, description="Password at the mail server.")
    smtp_starttls: bool = Field(True, description="Whether STARTTLS encrypts the connection to the mail server.")
    smtp_sender: str = Field("image-pipelines@localhost", description="Sender's address of notifications.")

    @field_validator("spark_driver_memory", "spark_executor_memory", "spark_executor_memory_overhead")
    @classmethod
    def _is_memory_of_java(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value):
            raise ValueError(f"'{value}' is not an amount of memory. Give e.g. 2g or 512m.")
        return value

    @field_validator("lock")
    @classmethod
    def _is_lease_or_folder(cls, value: str) -> str:
        if value and value != "lease" and not value.startswith("/"):
            raise ValueError(f"'{value}' is neither 'lease' nor an absolute folder. Give one of them.")
        return value

    @classmethod
    def load(cls, **parameters: Any) -> Self:
        """Read the settings. A pipeline parameter overrides the environment, unless it is empty.

        Args:
            **parameters: Values of pipeline parameters, by field.

        Raises:
            InputError: A value is missing or not of its field's type, or a variable or parameter is unknown.
        """
        _check_variables(os.environ)
        for name in parameters:
            if name not in cls.model_fields:
                raise _unknown(name, cls.model_fields)
        try:
            return cls(**{name: value for name, value in parameters.items() if value not in ("", None)})
        except ValidationError as error:
            name = str(error.errors()[0]["loc"][0])
            raise InputError(
                f"{explain(error, cls).removesuffix('.')} as {variable(name)} in the environment."
            ) from None

    def required(self, name: str) -> str:
        """Return the value of a text setting that has to be set.

        Args:
            name: The field.

        Raises:
            InputError: The value is empty.
        """
        value = str(getattr(self, name))
        if not value:
            parameter = f", or the pipeline's parameter {_PARAMETERS[name]}" if name in _PARAMETERS else ""
            raise InputError(f"{name}: not set. Set {variable(name)} in the environment{parameter}.")
        return value


def variable(name: str) -> str:
    """Return the environment variable of a setting.

    Args:
        name: The field of `Settings`.
    """
    return ENVIRONMENT_PREFIX + name.upper()


def _check_variables(environment: Mapping[str, str]) -> None:
    """Refuse variables with the settings' prefix that no code reads.

    Args:
        environment: Values by name. Empty values count as not set.

    Raises:
        InputError: A variable is unknown, or has the name of an earlier release.
    """
    # Pydantic reads names in lower case, too.
    names = {name.upper() for name, value in environment.items() if value}
    ours = {name for name in names if name.startswith(ENVIRONMENT_PREFIX)}
    existing = {*map(variable, Settings.model_fields), *OTHER_VARIABLES}
    unknown = ours - existing
    services = {name.removesuffix(_SERVICE_HOST) for name in unknown if name.endswith(_SERVICE_HOST)}
    for name in sorted(unknown):
        if not any(
            name.startswith(service) and _SERVICE_VARIABLE.fullmatch(name[len(service) :]) for service in services
        ):
            old = name.removeprefix(ENVIRONMENT_PREFIX).lower()
            if old in RENAMED:
                raise InputError(f"{name}: renamed. Set {variable(RENAMED[old])} instead.")
            if old in REMOVED:
                raise InputError(f"{name}: no longer needed, because {REMOVED[old]}. Remove it.")
            raise _unknown(name, existing, ENVIRONMENT_PREFIX)


def _unknown(name: str, existing: Iterable[str], prefix: str = "") -> InputError:
    """Return the error about an unknown setting, which suggests the nearest name.

    Args:
        name: The unknown name.
        existing: Names of all settings.
        prefix: Prefix of all names, which the comparison ignores.
    """
    suffixes = sorted(setting.removeprefix(prefix) for setting in existing)
    nearest = get_close_matches(name.removeprefix(prefix), suffixes, n=1, cutoff=0)[0]
    return InputError(f"{name}: unknown setting. Did you mean {prefix}{nearest}?")
