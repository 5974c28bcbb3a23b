"""List a folder of an Azure Blob container."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import sleep
from typing import Any, Self

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient, ContainerClient

from components.errors import TransientError
from components.ingest_images.discovery.clients import azure_credential, client_errors, is_changed, is_missing
from components.ingest_images.discovery.listing import ListedFile
from components.storage import uri
from components.storage.access import Access

_ADVICE = "Check azure_account_key or the task's workload identity, or grant Storage Blob Data Reader"
_ARCHIVE_ADVICE = "Grant Storage Blob Data Contributor on the archive and the source"
# Metadata of the empty blob that stands for a folder.
_FOLDER = "hdi_isfolder"


@dataclass(frozen=True)
class AzureListing:
    """The blobs below a folder of a container.

    Attributes:
        source: Normalized URI of the folder, for errors.
        container: Client of the container, which threads may share.
        prefix: Name of the folder with a slash at its end; empty for the whole container.
        page: Number of blobs of a page, 1..5000.
    """

    source: str
    container: ContainerClient
    prefix: str
    page: int = 5000

    @classmethod
    def of(cls, source: str, access: Access) -> Self:
        """Return the listing of a folder.

        Args:
            source: Normalized URI, `abfss://container@account.dfs.core.windows.net/folder`.
            access: Key or workload identity.
        """
        address, prefix = uri.bucket_and_prefix(source)
        container, _, host = address.partition("@")
        client = ContainerClient(
            f"https://{host.replace('.dfs.', '.blob.', 1)}",
            container,
            credential=azure_credential(host.partition(".")[0], access),
        )
        return cls(source, client, prefix)

    def files(self, start: str = "") -> Iterator[ListedFile]:  # noqa: D102 - described by Listing
        options: dict[str, Any] = {"start_from": self.prefix + start} if start else {}
        pages = self.container.list_blobs(
            self.prefix or None, include=["metadata"], results_per_page=self.page, **options
        ).by_page()
        while True:
            with self._errors():
                blobs = list(next(pages, ()))
            if not blobs:
                return
            for blob in blobs:
                if not blob.name.endswith("/") and _FOLDER not in (blob.metadata or {}):
                    yield self._file(blob)

    def status(self, name: str) -> ListedFile | None:  # noqa: D102
        with self._errors():
            try:
                return self._file(self.container.get_blob_client(self.prefix + name).get_blob_properties())
            except HttpResponseError as error:
                if is_missing(error):
                    return None
                raise

    def archive(self, file: ListedFile, destination: str) -> bool:  # noqa: D102
        blob = self.container.get_blob_client(self.prefix + file.name)
        unchanged: dict[str, Any] = {"etag": f'"{file.etag}"', "match_condition": MatchConditions.IfNotModified}
        with client_errors("archive", destination or self.source, _ARCHIVE_ADVICE):
            try:
                if destination:
                    self._copy(blob, file, destination)
                blob.delete_blob(**unchanged)
            except HttpResponseError as error:
                if is_missing(error) or is_changed(error):
                    return False
                raise
        return True

    def _copy(self, blob: BlobClient, file: ListedFile, destination: str) -> None:
        """Copy a blob within its account, and wait until the copy is complete."""
        address, prefix = uri.bucket_and_prefix(destination)
        container, _, _ = address.partition("@")
        service: BlobServiceClient = self.container._get_blob_service_client()
        copy = service.get_blob_client(container, prefix + file.name)
        # A key or an identity that may read the source may also copy it within the account.
        copied = copy.start_copy_from_url(
            blob.url, source_etag=f'"{file.etag}"', source_match_condition=MatchConditions.IfNotModified
        )
        status: str | None = str(copied["copy_status"])
        while status == "pending":
            sleep(0.1)
            status = copy.get_blob_properties().copy.status
        if status != "success":
            raise TransientError(f"archive: the copy of '{blob.blob_name}' ended with the status {status}.")

    def _file(self, blob: BlobProperties) -> ListedFile:
        return ListedFile(
            blob.name.removeprefix(self.prefix),
            blob.size,
            int(blob.last_modified.timestamp()),
            blob.etag.strip('"'),
        )

    def _errors(self) -> Any:
        return client_errors("source", self.source, _ADVICE)
