"""How remote stores are reached: by Spark and by Python alike, and without a word of the secrets."""

import pickle

import pytest

from components.settings import Settings
from components.storage import Access, open_store
from components.storage.stores import RemoteStore

SECRETS = {"s3_secret_key": "s3cret-of-s3", "azure_account_key": "c2VjcmV0LW9mLWF6dXJl"}
AZURE_URI = "abfss://images@acct.dfs.core.windows.net/lake"


def access(**values: str) -> Access:
    return Access.of(Settings.load(**values))


def test_a_server_of_ones_own_is_asked_by_paths_with_its_keys() -> None:
    keys = {"s3_access_key": "me", "s3_secret_key": SECRETS["s3_secret_key"]}
    made = access(s3_endpoint="http://minio:9000", **keys)

    configuration, options = made.hadoop_configuration(), made.options("s3a")

    assert configuration["fs.s3a.endpoint"] == options["endpoint_url"] == "http://minio:9000"
    assert configuration["fs.s3a.connection.ssl.enabled"] == "false"
    assert configuration["fs.s3a.path.style.access"] == "true"
    assert options["config_kwargs"]["s3"] == {"addressing_style": "path"}
    assert configuration["fs.s3a.endpoint.region"] == options["client_kwargs"]["region_name"] == "us-east-1"
    assert (configuration["fs.s3a.access.key"], configuration["fs.s3a.secret.key"]) == tuple(keys.values())
    assert (options["key"], options["secret"]) == tuple(keys.values())


def test_amazons_s3_is_asked_as_amazon_says() -> None:
    made = access(s3_region="eu-central-1")

    configuration, options = made.hadoop_configuration(), made.options("s3a")

    assert configuration == {
        "fs.s3a.endpoint.region": "eu-central-1",
        "fs.s3a.aws.credentials.provider": "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
    }
    assert options.keys() == {"use_listings_cache", "config_kwargs", "client_kwargs"}


def test_azure_is_asked_with_the_key_of_the_account() -> None:
    made = access(azure_account_key=SECRETS["azure_account_key"], azure_client_id="also set")

    assert made.hadoop_configuration()["fs.azure.account.key"] == SECRETS["azure_account_key"]
    assert made.options("abfss")["account_key"] == SECRETS["azure_account_key"]


def test_azure_is_asked_with_the_workload_identity_that_its_webhook_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant", "AZURE_FEDERATED_TOKEN_FILE": "/token"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)

    configuration = access().hadoop_configuration()

    provider = "org.apache.hadoop.fs.azurebfs.oauth2.WorkloadIdentityTokenProvider"
    assert configuration["fs.azure.account.oauth.provider.type"] == provider
    assert [configuration[f"fs.azure.account.oauth2.{name}"] for name in ("client.id", "msi.tenant", "token.file")] == [
        "client",
        "tenant",
        "/token",
    ]


def test_access_can_be_sent_to_workers_and_shows_no_secret() -> None:
    made = access(s3_access_key="me", **SECRETS)

    assert pickle.loads(pickle.dumps(made)) == made
    assert not any(secret in repr(made) for secret in SECRETS.values())


def test_a_uri_of_azure_names_its_account() -> None:
    store = open_store(AZURE_URI, access(azure_account_key=SECRETS["azure_account_key"]))

    assert isinstance(store, RemoteStore)
    assert store.filesystem.account_name == "acct"
