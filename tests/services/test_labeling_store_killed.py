"""Tests of a labeling store that is killed during an export or an import: each image and annotation arrives once."""

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

from components.errors import TransientError
from components.export_for_labeling.copies import copy
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.labeling import sources
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, CLASSES, FOLDER, LABELS
from components.parameters import Choice
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage.blob_folder import BlobFolder
from tests.support.lake_rows import append_rows
from tests.support.scored_lake import SUCCESSION, insert_images, insert_scored, jpeg, path
from tests.support.servers import KillableAzurite, saved_blobs
from tests.support.tracking import make_tracking

# More than two tasks write at a time.
IMAGES = 40
BEFORE_DEATH = 4
EXPORTS = 4
ANNOTATIONS_PER_EXPORT = 5


@dataclass(frozen=True)
class Store:
    """A store that can be killed, and an empty container in it."""

    server: KillableAzurite
    container: ContainerClient
    settings: Settings

    def blobs(self) -> dict[str, bytes]:
        return {name: self.container.download_blob(name).readall() for name in self.container.list_blob_names()}

    def destination(self) -> BlobFolder:
        return BlobFolder.parse(self.container.url, "destination", self.settings)


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
class _Killing(BlobFolder):
    """A destination that kills the store as soon as some copies would survive a restart."""

    saved: Path
    pid: int

    def write(self, name: str, content: bytes, metadata: Mapping[str, str]) -> None:
        super().write(name, content, metadata)
        if len(self.find()) >= BEFORE_DEATH:
            wait_until_saved(self.saved, BEFORE_DEATH)
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def wait_until_saved(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(saved_blobs(folder)) < count:
        assert time.monotonic() < deadline, f"{folder}: not saved"
        time.sleep(0.1)


@pytest.mark.slow
def test_export_whose_store_is_killed_fails_and_is_completed_by_the_next(lake: Lake, store: Store) -> None:
    insert_scored(lake, dict.fromkeys(range(IMAGES), 0.5))
    everything = Choice(fraction=1, audit_fraction=0)
    plain = store.destination()
    killing = _Killing(**vars(plain), saved=store.server.folder, pid=store.server.pid)

    with pytest.raises(TransientError, match=r"^destination: '.*' can't be reached"):
        export_batch(lake, store.settings, killing, SUCCESSION, everything)
    store.server.kill()
    store.server.start()
    survivors = {blob.name: blob.etag for blob in store.container.list_blobs()}
    assert BEFORE_DEATH <= len(survivors) < IMAGES
    assert all(name.endswith(".jpg") for name in survivors)
    result = export_batch(lake, store.settings, plain, SUCCESSION, everything)

    assert [(batch.resumed, batch.by_reason.total()) for batch in result.batches] == [(True, IMAGES)]
    stored = store.blobs()
    assert result.manifest == f"{store.container.url}/{result.batch}/manifest.jsonl"
    assert len(stored.pop(f"{result.batch}/manifest.jsonl").splitlines()) == IMAGES
    assert sorted(stored.values()) == sorted(jpeg(number) for number in range(IMAGES))
    assert survivors.items() <= {blob.name: blob.etag for blob in store.container.list_blobs()}.items()


def test_upload_survives_a_restart_of_the_store(store: Store) -> None:
    def images(numbers: range) -> pa.RecordBatch:
        return pa.RecordBatch.from_pylist(
            [
                {
                    "path": f"file:/{number}.jpg",
                    "content_sha256": hashlib.sha256(jpeg(number)).hexdigest(),
                    "content": jpeg(number),
                    "shown": False,
                    "metadata": {"reason": "uncertain"},
                }
                for number in numbers
            ]
        )

    def batches() -> Iterator[pa.RecordBatch]:
        half = IMAGES // 2
        yield images(range(half))
        # Azurite acknowledges a write before it saves the blob; Azure does not.
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
class _KilledAfterListing(sources.Source):
    """A source whose store is killed and started again before the listed exports are read, and while they are."""

    server: KillableAzurite = field(kw_only=True)
    restarts: list[threading.Thread] = field(kw_only=True, default_factory=list)

    def listing(self) -> sources.Listing:
        found = super().listing()
        self._die()
        return found

    def read(self, export: sources.Export) -> bytes:
        content = super().read(export)
        if len(self.restarts) == 1:
            self._die()
        return content

    def _die(self) -> None:
        """Kill the store. It restarts while the next download is retried."""
        for each in self.restarts:
            each.join()
        self.server.kill()
        self.restarts.append(threading.Thread(target=self.server.start))
        self.restarts[-1].start()


@pytest.mark.slow
def test_import_survives_restarts_of_the_store_exactly_once(lake: Lake, store: Store, tmp_path: Path) -> None:
    numbers = range(EXPORTS * ANNOTATIONS_PER_EXPORT)
    insert_images(lake, {path(number): jpeg(number) for number in numbers})
    append_rows(lake, CLASSES, [(1, "ak47", None, FOLDER), (2, "flag", None, FOLDER)])
    for first in numbers[::ANNOTATIONS_PER_EXPORT]:
        annotations = [{"path": path(first + each), "label": 1 + each % 2} for each in range(ANNOTATIONS_PER_EXPORT)]
        store.container.upload_blob(f"{first}.jsonl", "\n".join(map(json.dumps, annotations)).encode())
    wait_until_saved(store.server.folder, EXPORTS)
    registry = ModelRegistry(make_tracking(tmp_path), "model")
    plain = sources.open_source(store.container.url, store.settings)
    killed = _KilledAfterListing(plain.uri, plain.folder, server=store.server)

    result = import_into(lake, registry, killed)
    for each in killed.restarts:
        each.join()
    again = import_into(lake, registry, plain)

    assert len(killed.restarts) == 2
    assert (result.files, result.read, result.imported, result.rejected) == (EXPORTS, len(numbers), len(numbers), [])
    assert (again.files, again.unchanged_files, again.imported) == (0, EXPORTS, 0)
    expected = [(path(number), 1 + number % ANNOTATIONS_PER_EXPORT % 2) for number in numbers]
    for table in (ANNOTATIONS, LABELS):
        assert sorted((row["path"], row["label"]) for row in lake.read(table).collect()) == expected
