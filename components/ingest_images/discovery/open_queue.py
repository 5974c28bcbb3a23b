"""Open the queue of a landing folder's events."""

from components.errors import InputError
from components.ingest_images.discovery.queues import AzureQueue, Queue, SqsQueue
from components.storage.access import Access


def open_queue(url: str, source: str, access: Access) -> Queue:
    """Return the queue at a URL, without contacting it.

    Args:
        url: URL of an SQS queue for a source in S3, of an Azure Storage queue for one in Azure, or of a Pub/Sub
            subscription for one in Google Cloud Storage.
        source: Normalized URI of the landing folder.
        access: Addresses and credentials.

    Raises:
        InputError: The source is local. Or the source is in Google Cloud Storage, and the URL does not name a Pub/Sub
            subscription, or there are no credentials.
    """
    if source.startswith("s3a:"):
        return SqsQueue(url, access)
    if source.startswith("abfss:"):
        return AzureQueue.of(url, access)
    if source.startswith("gs:"):
        from components.ingest_images.discovery.pubsub_queue import PubSubQueue

        return PubSubQueue.of(url)
    raise InputError(f"queue: given, but source '{source}' is local and sends no messages. Remove it.")
