"""How remote stores are reached: made of the settings, for Hadoop's file systems and for Python's, in one place."""

from dataclasses import dataclass
from typing import Any, Self

from pydantic import SecretStr

from components.settings import Settings

# S3 servers other than Amazon's have no regions, but a signature has one in it.
_ANY_REGION = "us-east-1"
# With growing pauses, the last of these comes half a minute after the first: as long as a server takes to restart.
_S3_ATTEMPTS = 8
_WORKLOAD_IDENTITY = "org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider"
# Environment, web identity, profile and instance, in this order, as Python's client looks for them.
_S3_CREDENTIALS_ELSEWHERE = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"

# What is written is gathered in memory. The default, a file, casts the local file system to the one that has checksums,
# which the session does not use. A buffer is of the full size of a part, whatever it holds: so parts are small.
_BUFFERS = (
    ("fs.s3a.fast.upload.buffer", "bytebuffer"),
    ("fs.s3a.multipart.size", "16M"),
    ("fs.s3a.fast.upload.active.blocks", "2"),
    ("fs.azure.data.blocks.buffer", "bytebuffer"),
)


@dataclass(frozen=True)
class Access:
    """Addresses and credentials of the remote stores. It shows no secret, and may be sent to Spark's workers.

    Attributes:
        s3_endpoint: URL of the S3 server; empty for Amazon's.
        s3_region: Region of the buckets; empty lets the client find out.
        s3_access_key: Access key; None takes what the environment, the pod or the instance has.
        s3_secret_key: The access key's secret.
        azure_account_key: Key of the storage account; None takes the workload identity.
        azure_client_id: Client id of the workload identity.
        azure_tenant_id: Tenant of the workload identity.
        azure_token_file: File of the workload identity's token.
    """

    s3_endpoint: str
    s3_region: str
    s3_access_key: SecretStr | None
    s3_secret_key: SecretStr | None
    azure_account_key: SecretStr | None
    azure_client_id: str
    azure_tenant_id: str
    azure_token_file: str

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the access that the settings describe."""
        return cls(
            s3_endpoint=settings.s3_endpoint,
            s3_region=settings.s3_region or (_ANY_REGION if settings.s3_endpoint else ""),
            s3_access_key=settings.s3_access_key,
            s3_secret_key=settings.s3_secret_key,
            azure_account_key=settings.azure_account_key,
            azure_client_id=settings.azure_client_id,
            azure_tenant_id=settings.azure_tenant_id,
            azure_token_file=settings.azure_token_file,
        )

    def hadoop_configuration(self) -> dict[str, str]:
        """Return Hadoop's configuration of `s3a://` and `abfss://`. It holds secrets: keep it off command lines."""
        return dict(_BUFFERS) | self._hadoop_s3() | self._hadoop_azure()

    def options(self, scheme: str) -> dict[str, Any]:
        """Return the options of fsspec's file system of a remote scheme. They hold secrets."""
        # Listings of what others write meanwhile must not come from a cache.
        return {"use_listings_cache": False} | (self._s3_options() if scheme == "s3a" else self._azure_options())

    def _hadoop_s3(self) -> dict[str, str]:
        found: dict[str, str] = {}
        if self.s3_endpoint:
            found |= {
                "fs.s3a.endpoint": self.s3_endpoint,
                "fs.s3a.connection.ssl.enabled": str(self.s3_endpoint.startswith("https:")).lower(),
                # Only Amazon has a host name for each bucket.
                "fs.s3a.path.style.access": "true",
            }
        if self.s3_region:
            found["fs.s3a.endpoint.region"] = self.s3_region
        if self.s3_access_key and self.s3_secret_key:
            found |= {
                "fs.s3a.access.key": self.s3_access_key.get_secret_value(),
                "fs.s3a.secret.key": self.s3_secret_key.get_secret_value(),
                "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
            }
        else:
            found["fs.s3a.aws.credentials.provider"] = _S3_CREDENTIALS_ELSEWHERE
        return found

    def _hadoop_azure(self) -> dict[str, str]:
        if self.azure_account_key:
            return {
                "fs.azure.account.auth.type": "SharedKey",
                "fs.azure.account.key": self.azure_account_key.get_secret_value(),
            }
        if not self.azure_client_id:
            return {}
        return {
            "fs.azure.account.auth.type": "OAuth",
            "fs.azure.account.oauth.provider.type": _WORKLOAD_IDENTITY,
            "fs.azure.account.oauth2.client.id": self.azure_client_id,
            "fs.azure.account.oauth2.msi.tenant": self.azure_tenant_id,
            "fs.azure.account.oauth2.token.file": self.azure_token_file,
        }

    def _s3_options(self) -> dict[str, Any]:
        config: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": _S3_ATTEMPTS}}
        options: dict[str, Any] = {"config_kwargs": config}
        if self.s3_endpoint:
            options["endpoint_url"] = self.s3_endpoint
            config["s3"] = {"addressing_style": "path"}
        if self.s3_region:
            options["client_kwargs"] = {"region_name": self.s3_region}
        if self.s3_access_key and self.s3_secret_key:
            options["key"] = self.s3_access_key.get_secret_value()
            options["secret"] = self.s3_secret_key.get_secret_value()
        return options

    def _azure_options(self) -> dict[str, Any]:
        if self.azure_account_key:
            return {"account_key": self.azure_account_key.get_secret_value()}
        # Looks for a workload identity in the variables that Azure's webhook sets, from which the settings are, too.
        return {"anon": False}
