"""Test which credentials a blob folder uses: connection string or workload identity."""

from pathlib import Path

import pytest
from azure.identity import WorkloadIdentityCredential

from components.errors import InputError
from components.settings import Settings
from components.storage.blob_folder import BlobFolder, ConnectionString, WorkloadIdentity

CONNECTION = "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net"
URL = "https://acct.blob.core.windows.net/labels/from people"


@pytest.fixture
def webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set the variables of Azure's webhook, and return the token's file."""
    file = tmp_path / "token"
    file.write_text("a token")
    for name, value in (("CLIENT_ID", "client"), ("TENANT_ID", "tenant"), ("FEDERATED_TOKEN_FILE", str(file))):
        monkeypatch.setenv(f"AZURE_{name}", value)
    return file


def test_pod_with_an_identity_needs_no_connection_string(webhook: Path) -> None:
    parsed = BlobFolder.parse(URL, "source", Settings.load())

    identity = WorkloadIdentity("https://acct.blob.core.windows.net", "client", "tenant", str(webhook))
    assert (parsed.access, parsed.container, parsed.folder) == (identity, "labels", "from people/")
    client = identity.container("labels")
    assert client.url == "https://acct.blob.core.windows.net/labels"
    assert type(client.credential).__name__ == "WorkloadIdentityCredential"


def test_token_is_requested_for_the_pods_identity_in_its_tenant(webhook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, str]] = []

    class Recording(WorkloadIdentityCredential):
        def __init__(self, **arguments: str) -> None:
            requests.append(arguments)
            super().__init__(**arguments)

    monkeypatch.setattr("components.storage.blob_folder.WorkloadIdentityCredential", Recording)

    BlobFolder.parse(URL, "source", Settings.load()).access.container("labels")

    assert requests == [{"tenant_id": "tenant", "client_id": "client", "token_file_path": str(webhook)}]


@pytest.mark.usefixtures("webhook")
def test_connection_string_takes_precedence_over_the_identity() -> None:
    parsed = BlobFolder.parse(URL, "source", Settings.load(azure_storage_connection_string=CONNECTION))

    assert isinstance(parsed.access, ConnectionString)


@pytest.mark.parametrize(
    "url",
    [
        "https://acct.blob.core.windows.net.example.org/labels",
        "https://acct.blob.core.windows.net@example.org/labels",
        "https://example.org/acct.blob.core.windows.net/labels",
        "http://acct.blob.core.windows.net/labels",
        "https://acct.blob.core.windows.net:8443/labels",
    ],
)
@pytest.mark.usefixtures("webhook")
def test_identity_token_is_sent_to_azure_hosts_only(url: str) -> None:
    with pytest.raises(InputError, match=r"^source: '.*' is not a URL of Azure"):
        BlobFolder.parse(url, "source", Settings.load())


@pytest.mark.parametrize(
    ("host", "accepted"),
    [("acct.blob.core.usgovcloudapi.net", True), ("acct.z12.blob.storage.azure.net", True), ("blob.core.net", False)],
)
@pytest.mark.usefixtures("webhook")
def test_all_azure_clouds_count_as_azure_hosts(host: str, accepted: bool) -> None:
    try:
        found = BlobFolder.parse(f"https://{host}/labels", "source", Settings.load()).uri
    except InputError:
        found = ""

    assert found == (f"https://{host}/labels" if accepted else "")


def test_pod_without_a_token_raises_an_error(webhook: Path) -> None:
    webhook.unlink()

    with pytest.raises(
        InputError, match=rf"^azure_token_file: file '{webhook}' not found.*azure.workload.identity/use"
    ):
        BlobFolder.parse(URL, "source", Settings.load())


@pytest.mark.usefixtures("webhook")
def test_identity_without_a_tenant_raises_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_TENANT_ID")

    with pytest.raises(InputError, match=r"^azure_tenant_id: not set"):
        BlobFolder.parse(URL, "source", Settings.load())
