"""Configure Hadoop's and fsspec's clients of remote stores from the settings."""

import os
from dataclasses import dataclass
from typing import Any, Self

from pydantic import SecretStr

from components.settings import Settings

# S3 servers other than Amazon's have no regions, but every signature contains one.
_ANY_REGION = "us-east-1"
# The pauses grow, so the last attempt is half a minute after the first. A server restarts in that time.
_S3_ATTEMPTS = 8
_WORKLOAD_IDENTITY = "org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider"
# Searches environment, web identity, profile and instance in the same order as Python's client.
_S3_DEFAULT_CREDENTIALS = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"

# Buffers uploads in memory. The default buffer, a file, casts the local file system to the one with checksums, but the
# session uses another one. Each buffer takes the full size of an upload's part, so parts are small.
_BUFFERS = (
    ("fs.s3a.fast.upload.buffer", "bytebuffer"),
    ("fs.s3a.multipart.size", "16M"),
    ("fs.s3a.fast.upload.active.blocks", "2"),
    ("fs.azure.data.blocks.buffer", "bytebuffer"),
)

# Hadoop has a driver of its own for the scheme, and defaults such as 64m, which Google's driver can't read.
_GOOGLE_DRIVER = (
    ("fs.gs.impl", "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem"),
    ("fs.AbstractFileSystem.gs.impl", "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS"),
    ("fs.gs.block.size", str(64 * 2**20)),
    ("fs.gs.inputstream.inplace.seek.limit", str(8 * 2**20)),
    ("fs.gs.inputstream.min.range.request.size", str(2 * 2**20)),
    ("fs.gs.outputstream.buffer.size", str(8 * 2**20)),
    ("fs.gs.rewrite.max.chunk.size", str(512 * 2**20)),
)
# Takes a second to import, does not survive a fork, and asks a service that emulators lack.
_GCSFS_GRPC = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"


@dataclass(frozen=True)
class Access:
    """Addresses and credentials of the remote stores.

    The default has no addresses and no credentials of its own. It can be pickled for Spark's workers, and its text form
    hides the secrets.

    Attributes:
        s3_endpoint: URL of the S3 server; empty for Amazon S3.
        s3_region: Region of the buckets; if empty, the client finds it.
        s3_access_key: Access key; None uses the credentials of the environment, the pod or the instance.
        s3_secret_key: Secret of the access key.
        azure_account_key: Key of the storage account; None uses the workload identity.
        azure_client_id: Client id of the workload identity.
        azure_tenant_id: Tenant id of the workload identity.
        azure_token_file: Path of the workload identity's token.
        gcs_endpoint: URL of an emulator of Google Cloud Storage, used without credentials; empty for Google's, with
            the application default credentials.
    """

    s3_endpoint: str = ""
    s3_region: str = ""
    s3_access_key: SecretStr | None = None
    s3_secret_key: SecretStr | None = None
    azure_account_key: SecretStr | None = None
    azure_client_id: str = ""
    azure_tenant_id: str = ""
    azure_token_file: str = ""
    gcs_endpoint: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the access from the settings."""
        return cls(
            s3_endpoint=settings.s3_endpoint,
            s3_region=settings.s3_region or (_ANY_REGION if settings.s3_endpoint else ""),
            s3_access_key=settings.s3_access_key,
            s3_secret_key=settings.s3_secret_key,
            azure_account_key=settings.azure_account_key,
            azure_client_id=settings.azure_client_id,
            azure_tenant_id=settings.azure_tenant_id,
            azure_token_file=settings.azure_token_file,
            gcs_endpoint=settings.gcs_endpoint.rstrip("/"),
        )

    def hadoop_configuration(self) -> dict[str, str]:
        """Return Hadoop's configuration of `s3a://`, `abfss://` and `gs://`.

        It contains secrets, so do not put it on command lines.
        """
        return dict(_BUFFERS) | self._hadoop_s3() | self._hadoop_azure() | self._hadoop_google()

    def options(self, scheme: str) -> dict[str, Any]:
        """Return the options of fsspec's file system, which contain secrets.

        Args:
            scheme: Remote scheme, `s3a`, `abfss` or `gs`.
        """
        options = {"s3a": self._s3_options, "abfss": self._azure_options, "gs": self._google_options}[scheme]()
        # A cached listing would miss files that other processes write meanwhile.
        return {"use_listings_cache": False} | options

    def _hadoop_s3(self) -> dict[str, str]:
        configuration: dict[str, str] = {}
        if self.s3_endpoint:
            configuration |= {
                "fs.s3a.endpoint": self.s3_endpoint,
                "fs.s3a.connection.ssl.enabled": str(self.s3_endpoint.startswith("https:")).lower(),
                # Only Amazon S3 has a host name for each bucket.
                "fs.s3a.path.style.access": "true",
            }
        if self.s3_region:
            configuration["fs.s3a.endpoint.region"] = self.s3_region
        if self.s3_access_key and self.s3_secret_key:
            configuration |= {
                "fs.s3a.access.key": self.s3_access_key.get_secret_value(),
                "fs.s3a.secret.key": self.s3_secret_key.get_secret_value(),
                "fs.s3a.aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
            }
        else:
            configuration["fs.s3a.aws.credentials.provider"] = _S3_DEFAULT_CREDENTIALS
        return configuration

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

    def _hadoop_google(self) -> dict[str, str]:
        if not self.gcs_endpoint:
            return dict(_GOOGLE_DRIVER) | {"fs.gs.auth.type": "APPLICATION_DEFAULT"}
        return dict(_GOOGLE_DRIVER) | {
            "fs.gs.auth.type": "UNAUTHENTICATED",
            "fs.gs.storage.root.url": f"{self.gcs_endpoint}/",
            # Emulators lack the request that moves an object: the driver copies it and removes the original.
            "fs.gs.operation.move.enable": "false",
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
        # fsspec then uses the variables that Azure's webhook sets. The settings have the same source.
        return {"anon": False}

    def _google_options(self) -> dict[str, Any]:
        os.environ.setdefault(_GCSFS_GRPC, "false")
        # A name may end with `#1`, which is no version of an object.
        options: dict[str, Any] = {"version_aware": False}
        if self.gcs_endpoint:
            return options | {"endpoint_url": self.gcs_endpoint, "token": "anon"}
        # Without it, gcsfs would try other credentials, and end with anonymous requests.
        return options | {"token": "google_default"}
