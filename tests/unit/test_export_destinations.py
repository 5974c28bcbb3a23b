"""Tests of the addresses of destinations, and of the names of copies."""

import errno
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError, TransientError
from components.labeling.batches import copy_name, images_by_copy, resolve_copy
from components.labeling.formats import Annotation, LocatedAnnotation
from components.settings import Settings
from components.storage import uri
from components.storage.access import Access
from components.storage.blob_folder import BlobFolder
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from components.storage.store_folder import StoreFolder
from components.storage.stores import DENIED, AccessRefusedError, LocalStore
from tests.support.paths import REPOSITORY

KEY = "c2VjcmV0"
ACCOUNT = f"DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={KEY};EndpointSuffix=core.windows.net"
SIGNED = "BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=sv=2024&sig=c2VjcmV0"
EMULATOR = f"AccountName=dev;AccountKey={KEY};BlobEndpoint=http://127.0.0.1:10000/dev;"

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
FOLDER_NAMES = st.text(st.characters(exclude_characters="/?#%\\", exclude_categories=("Cs", "Cc")), min_size=1).filter(
    lambda name: name not in (".", "..")
)


def open_destination(address: str, settings: Settings | None = None) -> Folder:
    return open_folder(address, "destination", settings or Settings.load())


def parse(url: str, connection_string: str = ACCOUNT) -> BlobFolder:
    return BlobFolder.parse(url, "destination", Settings.load(azure_storage_connection_string=connection_string))


@pytest.mark.parametrize("address", ["/data/s3:/to label/", "file:///data/s3:/to label", "file:/data//s3:/to label"])
def test_folder_is_named_by_a_path_or_a_uri(address: str) -> None:
    assert open_destination(address, Settings.load()).uri == "file:///data/s3:/to label"


@pytest.mark.parametrize(
    "address", ["s3://bucket//to label/", "abfss://c@acct.dfs.core.windows.net/to label", "gs://bucket/to label"]
)
def test_folder_can_be_in_a_remote_store(address: str) -> None:
    settings = Settings.load(s3_access_key="me", s3_secret_key=KEY)

    opened = open_destination(address, settings)

    assert opened == StoreFolder("destination", uri.normalize(address, "destination"), Access.of(settings))
    assert KEY not in repr(opened)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://host/x", "scheme 'ftp' of 'ftp://host/x' is not supported"),
        ("s3a://", "does not name a bucket"),
        ("to_label", "neither an absolute path nor a URI"),
        ("https://acct.blob.core.windows.net/c", "needs azure_storage_connection_string or azure_client_id"),
    ],
)
def test_unsupported_destination_is_refused(address: str, sentence: str) -> None:
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
def test_url_names_container_and_folder(url: str, connection_string: str, expected: tuple[str, str]) -> None:
    parsed = parse(url, connection_string)

    assert (parsed.container, parsed.folder) == expected


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://other.blob.core.windows.net/abc", "is not in the storage account"),
        ("https://acct.blob.core.windows.net.example/abc", "is not in the storage account"),
        ("https://acct.blob.core.windows.net/", "does not name a container"),
        ("https://acct.blob.core.windows.net/Upper", "does not name a container"),
        ("https://acct.blob.core.windows.net/a--b", "does not name a container"),
        ("https://acct.blob.core.windows.net/ab", "does not name a container"),
        ("https://acct.blob.core.windows.net/abc/../other", "does not name a container"),
    ],
)
def test_url_outside_the_account_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^destination: .*{sentence}"):
        parse(url)


@given(st.lists(FOLDER_NAMES, max_size=4))
def test_parsed_url_parses_to_the_same_place(folders: list[str]) -> None:
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
def test_refusal_shows_no_secret(url: str, connection_string: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(url, connection_string)

    assert KEY not in str(caught.value)


def test_destination_shows_no_secret() -> None:
    settings = Settings.load(azure_storage_connection_string=ACCOUNT)

    assert KEY not in repr(open_destination("https://acct.blob.core.windows.net/abc", settings))


@pytest.mark.parametrize("name", ["note.txt", "note.txt/below/it"])
def test_file_as_destination_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "note.txt").write_text("")

    with pytest.raises(InputError, match=r"^destination: '.*/note.txt' is a file"):
        open_destination(str(tmp_path / name)).check()


def test_missing_folder_is_created_on_write(tmp_path: Path) -> None:
    folder = open_destination(str(tmp_path / "a" / "b"))

    folder.check()
    assert folder.status("c/d.txt") is None
    folder.write("c/d.txt", b"one", {})
    folder.write("c/d.txt", b"two", {})

    assert folder.status("c/d.txt") is not None
    assert [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()] == [b"two"]


def test_removal_takes_the_incomplete_files_of_killed_writers_too(tmp_path: Path) -> None:
    folder = open_destination(str(tmp_path))
    name = "batch/images/a [1].jpg"
    program = textwrap.dedent(f"""
        import os
        from pathlib import Path

        from components.atomic_write import atomic_write

        with atomic_write(Path({str(tmp_path / name)!r})) as file:
            file.write(b"picture")
            file.flush()
            os._exit(9)
    """)
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 9
    others = ["batch/images/.a 1.jpg.host-1.part", "batch/images/a [1].jpg.csv"]
    for other in others:
        (tmp_path / other).write_bytes(b"other")

    assert [folder.remove(name) for _ in range(2)] == [True, False]

    assert {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()} == {*others}


@given(DIGESTS, st.text())
def test_copy_name_is_valid_in_any_store(digest: str, path: str) -> None:
    name = copy_name(digest, path)

    assert re.fullmatch(r"images/[0-9a-f]{16}-[A-Za-z0-9._-]*", name)
    assert len(name) <= 120


@given(
    DIGESTS,
    st.from_regex(r"[a-z. ]{0,9}x(\.(heic|JPG|tif))?", fullmatch=True),
    st.sampled_from(["jpeg", "png"]),
)
def test_copy_of_a_converted_picture_has_the_suffix_of_its_format_and_is_recognized(
    digest: str, path: str, content_format: str
) -> None:
    name = copy_name(digest, path, content_format)
    images = images_by_copy([{"path": path, "batch": "b", "file": copy_name(digest, path)}])
    located = LocatedAnnotation("line 1", Annotation(path=f"AmlDatastore://c/b/{name}", label=1))

    assert Path(name).suffix.lower() in {"jpeg": {".jpg", ".jpeg", ".jpe", ".jfif"}, "png": {".png"}}[content_format]
    resolved = resolve_copy(located, images)
    assert isinstance(resolved, LocatedAnnotation)
    assert (resolved.annotation.path, resolved.annotation.batch) == (path, "b")


@given(DIGESTS, DIGESTS, st.text())
def test_copies_of_different_contents_have_different_names(one: str, other: str, path: str) -> None:
    assert (copy_name(one, path) == copy_name(other, path)) == (one[:16] == other[:16])


@given(DIGESTS, st.from_regex(r"[a-z0-9_-]{1,300}", fullmatch=True), st.sampled_from([".jpg", ".JPEG", ".png", ""]))
def test_copy_name_keeps_the_file_extension(digest: str, stem: str, suffix: str) -> None:
    assert Path(copy_name(digest, f"file:/folder.d/{stem}{suffix}")).suffix == suffix


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (OSError("the server sent half a page"), InputError, "the server sent half a page"),
        (OSError(errno.EIO, "Input/output error"), InputError, "Input/output error"),
        (OSError(errno.ETIMEDOUT, "Connection timed out"), TransientError, "Connection timed out"),
    ],
)
def test_error_of_a_store_names_field_place_and_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: OSError, kind: type[Exception], sentence: str
) -> None:
    def fail(store: LocalStore, uri: str) -> bytes:
        raise error

    monkeypatch.setattr(LocalStore, "read", fail)
    folder = open_destination(f"file://{tmp_path}")

    with pytest.raises(kind) as raised:
        folder.read("a")

    assert str(raised.value).startswith(f"destination: 'file://{tmp_path}': {sentence}. ")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("no bucket."), InputError),
        (AccessRefusedError("no access.", DENIED), InputError),
        (TransientError("no answer."), TransientError),
    ],
)
def test_sentence_of_a_store_begins_with_the_field(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, kind: type[Exception]
) -> None:
    def fail(store: LocalStore, uri: str, content: bytes) -> None:
        raise error

    monkeypatch.setattr(LocalStore, "write", fail)

    with pytest.raises(kind, match=f"^destination: {error}"):
        open_destination(f"file://{tmp_path}").write("a", b"", {})
