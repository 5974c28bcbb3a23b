"""List a prefix of a bucket of Google Cloud Storage."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.storage import Blob, Client
from google.cloud.storage.retry import DEFAULT_RETRY

from components.ingest_images.discovery.clients import client_errors, is_changed, is_missing
from components.ingest_images.discovery.google_clients import storage_client
from components.ingest_images.discovery.listing import ListedFile
from components.storage import uri
from components.storage.access import Access

_ADVICE = "Check the application default credentials, or grant Storage Object Viewer"
_ARCHIVE_ADVICE = "Grant Storage Object User on the archive and the source"
_FIELDS = "items(name,size,timeCreated,generation),nextPageToken"


@dataclass(frozen=True)
class GcsListing:
    """The objects below a prefix of a bucket.

    Attributes:
        source: Normalized URI, `gs://bucket/prefix`.
        access: Address and credentials.
        page: Number of names of a page, 2..1000.
    """

    source: str
    access: Access
    page: int = 1000
    bucket: str = field(init=False)
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        bucket, prefix = uri.bucket_and_prefix(self.source)
        object.__setattr__(self, "bucket", bucket)
        object.__setattr__(self, "prefix", prefix)

    @cached_property
    def client(self) -> Client:
        """The client, which threads may share."""
        return storage_client(self.access)

    def files(self, start: str = "") -> Iterator[ListedFile]:  # noqa: D102 - described by Listing
        # Each page starts at the last name instead of at a token: a token may expire while a batch is written.
        last, seen = f"{self.prefix}{start}" if start else "", ""
        while True:
            with self._errors():
                blobs = list(
                    self.client.list_blobs(
                        self.bucket,
                        prefix=self.prefix or None,
                        start_offset=last or None,
                        max_results=self.page,
                        fields=_FIELDS,
                    )
                )
            for blob in blobs:
                # A name with a slash at its end stands for a folder.
                if blob.name != seen and not blob.name.endswith("/"):
                    yield self._file(blob)
            if len(blobs) < self.page:
                return
            last = seen = blobs[-1].name

    def status(self, name: str) -> ListedFile | None:  # noqa: D102
        with self._errors():
            blob = self.client.bucket(self.bucket).get_blob(self.prefix + name)
        return None if blob is None else self._file(blob)

    def archive(self, file: ListedFile, destination: str) -> bool:  # noqa: D102
        bucket, name, generation = self.client.bucket(self.bucket), self.prefix + file.name, int(file.etag)
        with client_errors("archive", destination or self.source, _ARCHIVE_ADVICE):
            try:
                if destination:
                    self._copy(bucket.blob(name, generation=generation), file, destination)
                # A request that names the generation would delete it for good in a bucket with object versioning.
                bucket.blob(name).delete(if_generation_match=generation)
            except GoogleAPICallError as error:
                if is_missing(error) or is_changed(error):
                    return False
                raise
        return True

    def _copy(self, blob: Blob, file: ListedFile, destination: str) -> None:
        bucket, prefix = uri.bucket_and_prefix(destination)
        copy = self.client.bucket(bucket).blob(prefix + file.name)
        # A copy between locations takes several requests. The source names its generation, so each may be repeated.
        token, _, _ = copy.rewrite(blob, retry=DEFAULT_RETRY)
        while token:
            token, _, _ = copy.rewrite(blob, token=token, retry=DEFAULT_RETRY)

    def _file(self, blob: Blob) -> ListedFile:
        # The generation changes with the content only, the etag also with the metadata.
        return ListedFile(
            blob.name.removeprefix(self.prefix),
            blob.size,
            int(blob.time_created.timestamp()),
            str(blob.generation),
        )

    def _errors(self) -> Any:
        return client_errors("source", self.source, _ADVICE)
