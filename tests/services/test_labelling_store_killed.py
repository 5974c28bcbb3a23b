"""A labelling store that is killed amid an upload, and comes back: each image is there once."""

import hashlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from components.errors import InputError
from components.export_for_labeling.choice import Choice
from components.export_for_labeling.copies import copy
from components.export_for_labeling.destinations import AzureBlob
from components.export_for_labeling.export import export_batch
from components.lake import Lake
from components.settings import Settings
from tests.local.scored_lake import insert_scored, jpeg
from tests.services.servers import KillableAzurite, saved_blobs

# More than are under way at a time in two tasks.
IMAGES = 40
BEFORE_DEATH = 4


@dataclass(frozen=True)
class Store:
    """A store that can be killed, and an empty container in it."""

    server: KillableAzurite
    container: ContainerClient
    settings: Settings

    def blobs(self) -> dict[str, bytes]:
        return {name: self.container.download_blob(name).readall() for name in self.container.list_blob_names()}

    def destination(self) -> AzureBlob:
        return AzureBlob.parse(self.container.url, self.settings)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "azurite").mkdir()
    server = KillableAzurite(tmp_path / "azurite")
    try:
        connection_string = server.start().connection_string
        container = BlobServiceClient.from_connection_string(connection_string).create_container("to-label")
        yield Store(server, container, Settings.load(azure_storage_connection_string=connection_string))
    finally:
        server.stop()


@dataclass(frozen=True)
class _Killing(AzureBlob):
    """A destination that kills the store when some copies are there and will be there again after it."""

    folder: Path
    pid: int

    def write(self, name: str, content: bytes, about: Mapping[str, str]) -> None:
        super().write(name, content, about)
        if len(self.blobs.find()) >= BEFORE_DEATH:
            wait_until_saved(self.folder, BEFORE_DEATH)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def wait_until_saved(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(saved_blobs(folder)) < count:
        assert time.monotonic() < deadline, f"{folder}: not saved"
        time.sleep(0.1)


def test_an_export_whose_store_is_killed_ends_with_a_sentence_and_is_completed_by_the_next(
    lake: Lake, store: Store
) -> None:
    insert_scored(lake, dict.fromkeys(range(IMAGES), 0.5))
    everything = Choice(fraction=1, audit_fraction=0)
    plain = store.destination()
    killing = _Killing(plain.uri, plain.blobs, store.server.folder, store.server.pid)

    with pytest.raises(InputError, match=r"^destination: '.*' can't be reached"):
        export_batch(lake, store.settings, killing, everything)
    store.server.kill()
    store.server.start()
    survivors = {blob.name: blob.etag for blob in store.container.list_blobs()}
    assert BEFORE_DEATH <= len(survivors) < IMAGES
    assert all(name.endswith(".jpg") for name in survivors)
    result = export_batch(lake, store.settings, plain, everything)

    assert [(batch.resumed, batch.by_reason.total()) for batch in result.batches] == [(True, IMAGES)]
    stored = store.blobs()
    assert result.manifest == f"{store.container.url}/{result.batch}/manifest.jsonl"
    assert len(stored.pop(f"{result.batch}/manifest.jsonl").splitlines()) == IMAGES
    assert sorted(stored.values()) == sorted(jpeg(number) for number in range(IMAGES))
    assert survivors.items() <= {blob.name: blob.etag for blob in store.container.list_blobs()}.items()


def test_an_upload_outlasts_a_store_that_is_killed_and_started_again(store: Store) -> None:
    def images(numbers: range) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(
            [
                {
                    "path": f"file:/{number}.jpg",
                    "content_sha256": hashlib.sha256(jpeg(number)).hexdigest(),
                    "content": jpeg(number),
                    "shown": False,
                    "about": {"reason": "doubtful"},
                }
                for number in numbers
            ]
        )

    def batches() -> Iterator[pa.RecordBatch]:
        half = IMAGES // 2
        yield images(range(half))
        # An answer that Azurite has not saved is one that Azure would not have given.
        wait_until_saved(store.server.folder, half)
        store.server.kill()
        restart.start()
        yield images(range(half, IMAGES))

    restart = threading.Thread(target=store.server.start)
    copied = [row for each in copy(store.destination(), "batch")(batches()) for row in each.to_pylist()]
    restart.join()

    assert [row["error"] for row in copied] == [None] * IMAGES
    assert store.blobs() == {f"batch/{row['file']}": jpeg(number) for number, row in enumerate(copied)}
