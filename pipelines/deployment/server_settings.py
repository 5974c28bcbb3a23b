"""How the server of Kubeflow Pipelines is reached, typed and read once from the environment."""

from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """The server, and who one is there, read from `KF_PIPELINES_<FIELD>`.

    KFP's own client reads some of these names, and means the same.
    """

    model_config = SettingsConfigDict(env_prefix="KF_PIPELINES_", env_ignore_empty=True, frozen=True)

    endpoint: str = Field(
        "", description="URL of the server or its UI; without one, the cluster that this runs in, or of the kubeconfig."
    )
    ui_endpoint: str = Field("", description="URL of the UI in links, where it is another one.")
    namespace: str = Field("", description="One's own namespace, where the server has several users.")
    server_namespace: str = Field("kubeflow", description="Where the server is installed, if no endpoint is given.")
    token: SecretStr | None = Field(None, description="Bearer token, where the server asks for one.")
    sa_token_path: Path | None = Field(None, description="File with such a token, which the kubelet renews.")
    ssl_ca_cert: Path | None = Field(None, description="File with the certificates that the server's is signed by.")

    @classmethod
    def load(cls, **options: Any) -> Self:
        """Read the settings; an option that is not empty goes before the environment.

        Args:
            **options: Fields by name, as given to a command.
        """
        return cls(**{name: value for name, value in options.items() if value})
