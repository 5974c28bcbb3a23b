"""Addresses of destinations, and the names of copies."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.export_for_labeling.copies import copy_name
from components.export_for_labeling.destinations import Folder, RemoteFolder, open_destination
from components.settings import Settings
from components.storage import Access, uri
from components.storage.blob_folder import BlobFolder

KEY = "c2VjcmV0"
ACCOUNT = f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={KEY};EndpointSuffix=core.windows.net"
SIGNED = "BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=sv=2024&sig=c2VjcmV0"
EMULATOR = f"AccountName=dev;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/dev;"

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
FOLDER_NAMES = st.text(st.characters(exclude_characters="/?#%\\", exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda name: name not in (".", "..")
)


def parse(url: str, connection_string: str = ACCOUNT) -> BlobFolder:
    return BlobFolder.parse(url, "destination", Settings.load(azure_storage_connection_string=connection_string))


@pytest.mark.parametrize("address", ["/data/s3:/to label/", "file:///data/s3:/to label", "file:/data//s3:/to label"])
def test_a_folder_is_named_by_a_path_or_a_uri(address: str) -> None:
    assert open_destination(address, Settings.load()) == Folder("file:///data/s3:/to label")


@pytest.mark.parametrize("address", ["s3://bucket//to label/", "abfss://c@acct.dfs.core.windows.net/to label"])
def test_a_folder_may_be_in_a_remote_store(address: str) -> None:
    settings = Settings.load(s3_access_key="me", s3_secret_key=KEY)

    opened = open_destination(address, settings)

    assert opened == RemoteFolder(uri.normalize(address, "destination"), Access.of(settings))
    assert KEY not in repr(opened)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://host/x", "scheme 'ftp' of 'ftp://host/x' is not supported"),
        ("s3a://", "names no bucket"),
        ("to_label", "neither an absolute path nor a URI"),
        ("https://acct.blob.core.windows.net/c", "without azure_storage_connection_string or azure_client_id"),
    ],
)
def test_an_address_that_images_cant_be_sent_to_is_refused(address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^destination: .*{re.escape(sentence)}"):
        open_destination(address, Settings.load())


@pytest.mark.parametrize(
    ("url", "connection_string", "expected"),
    [
        ("https://acct.blob.core.windows.net/to-label", ACCOUNT, ("to-label", "")),
        ("https://ACCT.blob.core.windows.net/to-label/", SIGNED, ("to-label", "")),
        ("https://acct.blob.core.windows.net/abc/a//b/", ACCOUNT, ("abc", "a/b/")),
        ("https://acct.blob.core.windows.net/abc/a%20b", ACCOUNT, ("abc", "a b/")),
        ("http://127.0.0.1:10000/dev/abc/x", EMULATOR, ("abc", "x/")),
    ],
)
def test_a_url_names_container_and_folder(url: str, connection_string: str, expected: tuple[str, str]) -> None:
    parsed = parse(url, connection_string)

    assert (parsed.container, parsed.folder) == expected


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://other.blob.core.windows.net/abc", "is not in the storage account"),
        ("https://acct.blob.core.windows.net.example/abc", "is not in the storage account"),
        ("https://acct.blob.core.windows.net/", "names no container"),
        ("https://acct.blob.core.windows.net/Upper", "names no container"),
        ("https://acct.blob.core.windows.net/a--b", "names no container"),
        ("https://acct.blob.core.windows.net/ab", "names no container"),
        ("https://acct.blob.core.windows.net/abc/../other", "names no container"),
    ],
)
def test_a_url_of_no_container_of_the_account_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^destination: .*{sentence}"):
        parse(url)


@given(st.lists(FOLDER_NAMES, max_size=4))
def test_what_a_parsed_url_is_called_means_the_same_place(folders: list[str]) -> None:
    parsed = parse("/".join(["https://acct.blob.core.windows.net/abc", *folders]))

    assert parsed.folder == "".join(f"{each}/" for each in folders)
    assert parse(parsed.uri) == parsed


@pytest.mark.parametrize(
    ("url", "connection_string"),
    [
        ("https://acct.blob.core.windows.net/abc?sv=2024&sig=c2VjcmV0", ACCOUNT),
        ("https://acct.blob.core.windows.net/abc#c2VjcmV0", ACCOUNT),
        ("https://other.blob.core.windows.net/abc", SIGNED),
        ("https://acct.blob.core.windows.net/abc", f"AccountKey={KEY}"),
        ("https://acct.blob.core.windows.net/abc", KEY),
    ],
)
def test_a_refusal_holds_no_secret(url: str, connection_string: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(url, connection_string)

    assert KEY not in str(caught.value)


def test_a_destination_shows_no_secret() -> None:
    settings = Settings.load(azure_storage_connection_string=ACCOUNT)

    assert KEY not in repr(open_destination("https://acct.blob.core.windows.net/abc", settings))


@pytest.mark.parametrize("name", ["note.txt", "note.txt/below/it"])
def test_a_file_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "note.txt").write_text("")

    with pytest.raises(InputError, match=r"^destination: '.*/note.txt' is a file"):
        Folder(f"file://{tmp_path / name}").check()


def test_a_folder_that_is_not_there_yet_can_be_written_to(tmp_path: Path) -> None:
    folder = Folder(f"file://{tmp_path}/a/b")

    folder.check()
    assert not folder.exists("c/d.txt")
    folder.write("c/d.txt", b"one", {})
    folder.write("c/d.txt", b"two", {})

    assert folder.exists("c/d.txt")
    assert [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()] == [b"two"]


@given(DIGESTS, st.text())
def test_the_name_of_a_copy_is_valid_in_any_store(digest: str, path: str) -> None:
    name = copy_name(digest, path)

    assert re.fullmatch(r"images/[0-9a-f]{16}-[A-Za-z0-9._-]*", name)
    assert len(name) <= 120


@given(DIGESTS, DIGESTS, st.text())
def test_copies_of_different_contents_have_different_names(one: str, other: str, path: str) -> None:
    assert (copy_name(one, path) == copy_name(other, path)) == (one[:16] == other[:16])


@given(DIGESTS, st.from_regex(r"[a-z0-9_-]{1,300}", fullmatch=True), st.sampled_from([".jpg", ".JPEG", ".png", ""]))
def test_the_name_of_a_copy_keeps_the_kind_of_file(digest: str, stem: str, suffix: str) -> None:
    assert Path(copy_name(digest, f"file:/folder.d/{stem}{suffix}")).suffix == suffix
