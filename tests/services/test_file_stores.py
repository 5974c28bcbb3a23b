"""Test files in each remote store: names, versions, conditional writes, replacements and removal."""

import re
from pathlib import Path

import pytest

from components.errors import InputError
from components.ingest_images.discovery.google_clients import storage_client
from components.settings import Settings
from components.storage import uri
from components.storage.access import Access
from components.storage.stores import open_store
from tests.support.file_stores import FILE_STORES, FileStore
from tests.support.servers import GcsServer

NAME = "deep/er/a #1 ü%20+.json"
# Google's client sends a file above 5 MiB in several requests.
LARGE = bytes(range(256)) * (6 * 2**20 // 256)


@pytest.fixture(params=FILE_STORES)
def place(request: pytest.FixtureRequest) -> FileStore:
    """An empty bucket or container in each store."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[-60:].strip("-")
    return FILE_STORES[request.param](request, name)


def test_written_file_is_found_read_and_removed(place: FileStore) -> None:
    store, folder = place.store, f"{place.root}/folder"
    file = uri.join(folder, NAME)

    store.write(file, b"one")
    store.write(f"{place.root}/folder 2/b.json", b"")

    assert store.read(file) == b"one"
    with store.open_ranges(file) as opened:
        assert (opened.read(2), opened.read()) == (b"on", b"e")
    assert store.find(folder).keys() == {NAME}
    assert store.list_names(folder) == ["deep"]
    assert [store.exists(each) for each in (file, folder, f"{file}2")] == [True, True, False]
    assert [store.is_folder(each) for each in (file, folder)] == [False, True]
    store.remove(file)
    store.remove(file)
    assert store.status(file) is None
    assert store.find(folder) == {}
    with pytest.raises(FileNotFoundError):
        store.read(file)


def test_only_a_rewritten_file_has_a_new_version(place: FileStore) -> None:
    store = place.store
    for name in ("a.csv", NAME):
        store.write(f"{place.root}/exports/{name}", b"one")
    before = store.find(f"{place.root}/exports")

    store.write(f"{place.root}/exports/a.csv", b"longer")
    after = store.find(f"{place.root}/exports")

    assert before.keys() == after.keys() == {"a.csv", NAME}
    assert {name for name in before if before[name].version != after[name].version} == {"a.csv"}
    assert after["a.csv"].length == len(b"longer")
    assert after["a.csv"].modification_time >= before["a.csv"].modification_time
    assert after["a.csv"] == store.status(f"{place.root}/exports/a.csv")


def test_created_file_is_never_replaced(place: FileStore) -> None:
    file = f"{place.root}/plans/{NAME}"
    place.store.create(file, b"first")

    with pytest.raises(FileExistsError):
        place.store.create(file, b"second")

    assert place.store.read(file) == b"first"


def test_large_file_is_replaced_at_the_end_of_its_block_only(place: FileStore, tmp_path: Path) -> None:
    store, file = place.store, f"{place.root}/large.bin"
    (tmp_path / "copy").write_bytes(b"one")
    store.copy_from(file, tmp_path / "copy")

    def fail() -> None:
        with store.open_replacement(file) as opened:
            opened.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.read(file) == b"one"
    with store.open_replacement(file) as opened:
        opened.write(LARGE)

    assert store.read(file) == LARGE
    status = store.status(file)
    assert status is not None
    assert status.length == len(LARGE)


def test_folder_is_removed_with_its_contents(place: FileStore) -> None:
    store = place.store
    for name in ("folder/a.json", f"folder/{NAME}", "folder 2/b.json"):
        store.write(f"{place.root}/{name}", b"content")

    store.remove_folder(f"{place.root}/folder")
    store.remove_folder(f"{place.root}/folder")

    assert store.find(place.root).keys() == {"folder 2/b.json"}


def test_missing_bucket_or_container_is_named(place: FileStore) -> None:
    with pytest.raises(InputError, match=missing_sentence(place)):
        place.store.check(f"{place.missing}/a")


# SeaweedFS creates a bucket when it is written to.
@pytest.mark.parametrize("place", ["azure", "google"], indirect=True)
def test_missing_bucket_or_container_is_named_when_it_is_written_to(place: FileStore) -> None:
    with pytest.raises(InputError, match=missing_sentence(place)):
        place.store.write(f"{place.missing}/a", b"")


def missing_sentence(place: FileStore) -> str:
    return rf"^'{re.escape(place.missing)}/a': bucket or container not found\. Create it"


def test_object_of_google_that_stands_for_a_folder_is_not_a_file(gcs: GcsServer) -> None:
    access = Access.of(Settings(gcs_endpoint=gcs.url))
    gcs.make_bucket("folders")
    for name in ("folder/", "folder/sub/"):
        storage_client(access).bucket("folders").blob(name).upload_from_string(b"")
    store = open_store("gs://folders", access)
    store.write("gs://folders/folder/sub/a.csv", b"")

    assert store.find("gs://folders/folder").keys() == {"sub/a.csv"}
    assert store.list_names("gs://folders/folder") == ["sub"]
    assert store.is_folder("gs://folders/folder")
    store.remove_folder("gs://folders/folder")
    assert not store.exists("gs://folders/folder")
