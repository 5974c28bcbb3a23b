"""A labelling store that is killed amid an upload or a download, and comes back: images and answers are there once."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from components.errors import InputError
from components.export_for_labeling.choice import Choice
from components.export_for_labeling.copies import copy
from components.export_for_labeling.destinations import AzureBlob
from components.export_for_labeling.export import export_batch
from components.import_labels import sources
from components.import_labels.import_answers import import_into
from components.lake import Lake, frame
from components.lake.tables import ANNOTATIONS, CLASSES, LABELS
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from tests.local.scored_lake import insert_images, insert_scored, jpeg, path
from tests.services.servers import KillableAzurite, saved_blobs

# More than are under way at a time in two tasks.
IMAGES = 40
BEFORE_DEATH = 4
EXPORTS = 4
ANSWERS_OF_AN_EXPORT = 5


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


@dataclass(frozen=True)
class _KilledAfterListing(sources.AzureBlob):
    """A source whose store is killed and started again before the listed exports are read, and while they are."""

    server: KillableAzurite = field(kw_only=True)
    restarts: list[threading.Thread] = field(kw_only=True, default_factory=list)

    def exports(self) -> list[sources.Export]:
        found = super().exports()
        self._die()
        return found

    def read(self, export: sources.Export) -> bytes:
        content = super().read(export)
        if len(self.restarts) == 1:
            self._die()
        return content

    def _die(self) -> None:
        """Kill the store. It starts while the next download is tried again and again."""
        for each in self.restarts:
            each.join()
        self.server.kill()
        self.restarts.append(threading.Thread(target=self.server.start))
        self.restarts[-1].start()


def test_answers_of_a_store_that_is_killed_and_started_again_come_in_once(
    lake: Lake, store: Store, tmp_path: Path
) -> None:
    numbers = range(EXPORTS * ANSWERS_OF_AN_EXPORT)
    insert_images(lake, {path(number): jpeg(number) for number in numbers})
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "ak47", None), (2, "flag", None)], CLASSES.columns))
    for first in numbers[::ANSWERS_OF_AN_EXPORT]:
        said = [{"path": path(first + each), "label": 1 + each % 2} for each in range(ANSWERS_OF_AN_EXPORT)]
        store.container.upload_blob(f"{first}.jsonl", "\n".join(map(json.dumps, said)).encode())
    wait_until_saved(store.server.folder, EXPORTS)
    registry = ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "model")
    plain = sources.AzureBlob.parse(store.container.url, store.settings)
    killed = _KilledAfterListing(plain.uri, plain.blobs, server=store.server)

    result = import_into(lake, registry, killed)
    for each in killed.restarts:
        each.join()
    again = import_into(lake, registry, plain)

    assert len(killed.restarts) == 2
    assert (result.files, result.read, result.imported, result.rejected) == (EXPORTS, len(numbers), len(numbers), [])
    assert (again.files, again.known_files, again.imported) == (0, EXPORTS, 0)
    expected = [(path(number), 1 + number % ANSWERS_OF_AN_EXPORT % 2) for number in numbers]
    for table in (ANNOTATIONS, LABELS):
        assert sorted((row["path"], row["label"]) for row in lake.read(table).collect()) == expected
