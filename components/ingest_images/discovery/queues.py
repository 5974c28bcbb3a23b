"""The queues that receive a message for each new file: Amazon SQS and Azure Storage.

Google Pub/Sub has a module of its own, because its client takes a second to load.
"""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient

from components.ingest_images.discovery.clients import aws_client, azure_credential, client_errors
from components.storage.access import Access

# A received message is hidden from other receivers for this time. Receiving, reading and committing 50,000 files takes
# minutes. After a failure, the message returns; a message that returns too early is a duplicate, which is harmless.
VISIBILITY_SECONDS = 30 * 60
_SQS_HOST = re.compile(r"sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?")
_SQS_PAGE = 10
_AZURE_PAGE = 32
_WAIT_SECONDS = 1
_THREADS = 16


class Message(NamedTuple):
    """A received message.

    Attributes:
        id: Id, which stays the same when the message is received again.
        receipt: Right to delete the message, until another receiver gets it.
        body: Text.
        sent: Time of sending, in seconds since 1970; 0 in a queue that counts its messages.
    """

    id: str
    receipt: str
    body: str
    sent: float = 0


class Queue(Protocol):
    """A queue of messages.

    Errors name the field `queue`: an `InputError` for a missing queue or refused access, a `TransientError` for a
    service that is unreachable.
    """

    @property
    def page(self) -> int:
        """Maximum number of messages of `receive`."""

    def count(self) -> int | None:
        """Return the approximate number of visible messages, or None if the service does not count them.

        It receives no message. It raises an error if the queue is missing, refuses access or is unreachable.
        """

    def receive(self) -> list[Message]:
        """Receive up to a page of messages, and hide them for minutes; empty if there are none."""

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. It ignores those that another receiver has got meanwhile."""


@dataclass(frozen=True)
class SqsQueue:
    """A queue of Amazon SQS.

    Attributes:
        url: URL of the queue.
        access: Credentials of S3, which SQS shares.
        page: Maximum number of messages of `receive`.
    """

    url: str
    access: Access
    page: int = _SQS_PAGE

    @cached_property
    def client(self) -> Any:
        """The client, which threads may share."""
        parts = urlsplit(self.url)
        options = {"endpoint_url": f"{parts.scheme}://{parts.netloc}"}
        if host := _SQS_HOST.fullmatch(parts.netloc):
            options["region_name"] = host[1]
        return aws_client("sqs", self.access, **options)

    def count(self) -> int:  # noqa: D102 - described by Queue, here and below
        name = "ApproximateNumberOfMessages"
        with self._errors():
            answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    def receive(self) -> list[Message]:  # noqa: D102
        with self._errors():
            answer = self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=self.page,
                VisibilityTimeout=VISIBILITY_SECONDS,
                # Without waiting, SQS asks only some of its servers, and may miss messages.
                WaitTimeSeconds=_WAIT_SECONDS,
            )
        return [Message(each["MessageId"], each["ReceiptHandle"], each["Body"]) for each in answer.get("Messages", [])]

    def delete(self, messages: Sequence[Message]) -> None:  # noqa: D102
        batches = [messages[start : start + _SQS_PAGE] for start in range(0, len(messages), _SQS_PAGE)]
        with ThreadPoolExecutor(_THREADS) as threads, self._errors():
            list(threads.map(self._delete_batch, batches))

    def _delete_batch(self, messages: Sequence[Message]) -> None:
        entries = [{"Id": str(index), "ReceiptHandle": each.receipt} for index, each in enumerate(messages)]
        self.client.delete_message_batch(QueueUrl=self.url, Entries=entries)

    def _errors(self) -> Any:
        return client_errors(
            "queue", self.url, "Grant sqs:ReceiveMessage, sqs:DeleteMessage and sqs:GetQueueAttributes"
        )


@dataclass(frozen=True)
class AzureQueue:
    """A queue of Azure Storage.

    Attributes:
        client: Client of the queue, which threads may share.
        page: Maximum number of messages of `receive`.
    """

    client: QueueClient
    page: int = _AZURE_PAGE

    @classmethod
    def of(cls, url: str, access: Access) -> Self:
        """Return the queue at a URL.

        Args:
            url: URL, `https://account.queue.core.windows.net/queue`.
            access: Key or workload identity.
        """
        parts = urlsplit(url)
        host_labels = (parts.hostname or "").split(".")
        # An emulator has the account in the path.
        account = host_labels[0] if "queue" in host_labels else parts.path.strip("/").partition("/")[0]
        return cls(QueueClient.from_queue_url(url, azure_credential(account, access)))

    def count(self) -> int:  # noqa: D102
        with self._errors():
            return self.client.get_queue_properties().approximate_message_count or 0

    def receive(self) -> list[Message]:  # noqa: D102
        with self._errors():
            received = list(
                self.client.receive_messages(
                    messages_per_page=self.page, max_messages=self.page, visibility_timeout=VISIBILITY_SECONDS
                )
            )
        return [Message(each.id, each.pop_receipt or "", str(each.content)) for each in received]

    def delete(self, messages: Sequence[Message]) -> None:  # noqa: D102
        with ThreadPoolExecutor(_THREADS) as threads, self._errors():
            list(threads.map(self._delete_one, messages))

    def _delete_one(self, message: Message) -> None:
        try:
            self.client.delete_message(message.id, message.receipt)
        except ResourceNotFoundError:
            # It was deleted before, or another receiver has a newer receipt.
            return

    def _errors(self) -> Any:
        return client_errors("queue", self.client.url.partition("?")[0], "Grant Storage Queue Data Message Processor")
