"""Test the access to remote stores: same for Hadoop and fsspec, without showing secrets."""

import pickle

import pytest

from components.settings import Settings
from components.storage.access import Access
from components.storage.stores import RemoteStore, open_store

SECRETS = {"s3_secret_key": "s3cret-of-s3", "azure_account_key": "c2VjcmV0LW9mLWF6dXJl"}
AZURE_URI = "abfss://images@acct.dfs.core.windows.net/lake"


def access(**values: str) -> Access:
    return Access.of(Settings.load(**values))


def test_custom_s3_endpoint_is_used_with_path_style_and_its_keys() -> None:
    keys = {"s3_access_key": "me", "s3_secret_key": SECRETS["s3_secret_key"]}
    stores_access = access(s3_endpoint="http://minio:9000", **keys)

    configuration, options = stores_access.hadoop_configuration(), stores_access.options("s3a")

    assert configuration["fs.s3a.endpoint"] == options["endpoint_url"] == "http://minio:9000"
    assert configuration["fs.s3a.connection.ssl.enabled"] == "false"
    assert configuration["fs.s3a.path.style.access"] == "true"
    assert options["config_kwargs"]["s3"] == {"addressing_style": "path"}
    assert configuration["fs.s3a.endpoint.region"] == options["client_kwargs"]["region_name"] == "us-east-1"
    assert (configuration["fs.s3a.access.key"], configuration["fs.s3a.secret.key"]) == tuple(keys.values())
    assert (options["key"], options["secret"]) == tuple(keys.values())


def test_amazon_s3_is_used_with_its_defaults() -> None:
    stores_access = access(s3_region="eu-central-1")

    configuration, options = stores_access.hadoop_configuration(), stores_access.options("s3a")

    assert configuration["fs.s3a.endpoint.region"] == "eu-central-1"
    provider = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
    assert configuration["fs.s3a.aws.credentials.provider"] == provider
    assert not configuration.keys() & {"fs.s3a.endpoint", "fs.s3a.path.style.access", "fs.s3a.access.key"}
    assert options.keys() == {"use_listings_cache", "config_kwargs", "client_kwargs"}


def test_azure_is_used_with_the_account_key() -> None:
    stores_access = access(azure_account_key=SECRETS["azure_account_key"], azure_client_id="also set")

    assert stores_access.hadoop_configuration()["fs.azure.account.key"] == SECRETS["azure_account_key"]
    assert stores_access.options("abfss")["account_key"] == SECRETS["azure_account_key"]


def test_azure_is_used_with_the_workload_identity_of_its_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": "/token"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    configuration = access().hadoop_configuration()

    provider = "org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider"
    assert configuration["fs.azure.account.oauth.provider.type"] == provider
    assert [configuration[f"fs.azure.account.oauth2.{name}"] for name in ("client.id", "msi.tenant", "token.file")] == [
        "client",
        "tenant",
        "/token",
    ]


def test_google_is_used_with_the_application_default_credentials() -> None:
    configuration, options = access().hadoop_configuration(), access().options("gs")

    assert configuration["fs.gs.auth.type"] == "APPLICATION_DEFAULT"
    assert "fs.gs.storage.root.url" not in configuration
    assert options["token"] == "google_default"
    assert "endpoint_url" not in options


def test_emulator_of_google_is_used_without_credentials() -> None:
    stores_access = access(gcs_endpoint="http://127.0.0.1:4443/")

    configuration, options = stores_access.hadoop_configuration(), stores_access.options("gs")

    assert configuration["fs.gs.storage.root.url"] == "http://127.0.0.1:4443/"
    assert configuration["fs.gs.auth.type"] == "UNAUTHENTICATED"
    assert (options["endpoint_url"], options["token"]) == ("http://127.0.0.1:4443", "anon")


def test_name_with_a_number_sign_is_no_version_of_a_google_object() -> None:
    store = open_store("gs://images/a#1", access(gcs_endpoint="http://127.0.0.1:1"))

    assert isinstance(store, RemoteStore)
    assert not store.filesystem.version_aware


def test_access_is_picklable_and_shows_no_secret() -> None:
    stores_access = access(s3_access_key="me", **SECRETS)

    assert pickle.loads(pickle.dumps(stores_access)) == stores_access
    assert not any(secret in repr(stores_access) for secret in SECRETS.values())


def test_azure_uri_names_its_account() -> None:
    store = open_store(AZURE_URI, access(azure_account_key=SECRETS["azure_account_key"]))

    assert isinstance(store, RemoteStore)
    assert store.filesystem.account_name == "acct"
