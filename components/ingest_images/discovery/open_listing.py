"""Open the listing of a landing folder, and spell its paths."""

from components.ingest_images.discovery.azure_listing import AzureListing
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.listing import Listing
from components.ingest_images.discovery.local_listing import LocalListing
from components.ingest_images.discovery.s3_listing import S3Listing
from components.storage import uri
from components.storage.access import Access


def open_listing(source: str, access: Access, counts: DiscoveryCounts) -> Listing:
    """Return the listing of a landing folder, without contacting its store.

    Args:
        source: Normalized URI.
        access: Addresses and credentials.
        counts: Receives the counts of what a local folder passes over.
    """
    if (folder := uri.local_path(source)) is not None:
        return LocalListing(folder, counts)
    if source.startswith("gs:"):
        from components.ingest_images.discovery.gcs_listing import GcsListing

        return GcsListing(source, access)
    return S3Listing(source, access) if source.startswith("s3a:") else AzureListing.of(source, access)


def source_path(source: str) -> str:
    """Return a landing folder as column `path` of the lake spells it, with a slash at its end.

    Args:
        source: Normalized URI.
    """
    return uri.column_spelling(source).removesuffix("/") + "/"
