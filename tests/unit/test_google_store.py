"""Test how refusals and outages of Google Cloud Storage become sentences. Its fake refuses nothing."""

from pathlib import Path
from types import SimpleNamespace

# Like any importer that comes first: without the variable that `Access` sets, gcsfs enables its other class.
import gcsfs  # noqa: F401
import pytest
from gcsfs.core import GCSFileSystem

from components.errors import InputError, TransientError
from components.storage.access import Access
from components.storage.stores import DENIED, AccessRefusedError, RemoteStore, open_store
from tests.unit.file_server import serving

FILE = "gs://bucket/a #1.jpg"


def test_store_has_the_plain_class_of_gcsfs_whoever_imported_it_first() -> None:
    store = open_store(FILE, Access(gcs_endpoint="http://127.0.0.1:9"))

    assert isinstance(store, RemoteStore)
    assert type(store.filesystem) is GCSFileSystem


def test_object_that_google_refuses_has_the_reason_and_names_the_credentials() -> None:
    with serving(b"") as server:
        server.statuses = [403]
        store = open_store(FILE, Access(gcs_endpoint=server.url.rpartition("/")[0]))

        with pytest.raises(AccessRefusedError, match=rf"^'{FILE}': access is refused\. .* default cred") as raised:
            store.read(FILE)

    assert raised.value.reason == DENIED


def test_missing_credentials_of_google_are_bad_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    with pytest.raises(InputError, match=rf"^'{FILE}': the request failed \(DefaultCredentialsError\)\. Check gcs_end"):
        open_store(FILE, Access())


def test_request_that_takes_too_long_is_an_outage() -> None:
    def cat_file(uri: str) -> bytes:
        raise TimeoutError

    with pytest.raises(TransientError, match=rf"^'{FILE}': the store does not answer \(TimeoutError\)"):
        RemoteStore(SimpleNamespace(cat_file=cat_file)).read(FILE)
