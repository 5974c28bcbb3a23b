"""Settings of the connection to Kubeflow Pipelines, read from the environment."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """Server and identity, read from `KF_PIPELINES_<FIELD>`.

    KFP's own client reads some of these variables, with the same meaning.
    """

    model_config = SettingsConfigDict(env_prefix="KF_PIPELINES_", env_ignore_empty=True, frozen=True)

    endpoint: str = Field(
        "", description="URL of the server or its UI. Default: the cluster of this pod, or else of the kubeconfig."
    )
    ui_endpoint: str = Field("", description="URL of the UI for links, if it differs from the endpoint.")
    namespace: str = Field("", description="Namespace of the user, if the server has several users.")
    server_namespace: str = Field("kubeflow", description="Namespace of the server, if there is no endpoint.")
    token: SecretStr | None = Field(None, description="Bearer token, if the server requires one.")
    sa_token_path: Path | None = Field(None, description="File with a bearer token that the kubelet renews.")
    ssl_ca_cert: Path | None = Field(None, description="File with the certificate that issued the server's.")

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Read the settings. An option that is not empty overrides the environment.

        Args:
            **options: Fields by name, e.g. options of a command.
        """
        return cls(**{name: value for name, value in options.items() if value})
