"""A subscription of Google Pub/Sub."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from google.api_core.exceptions import DeadlineExceeded, GoogleAPICallError, MethodNotImplemented
from google.pubsub_v1 import PubsubMessage, SubscriberClient

from components.errors import InputError
from components.ingest_images.discovery import queues
from components.ingest_images.discovery.clients import client_errors
from components.ingest_images.discovery.google_clients import subscriber
from components.ingest_images.discovery.queues import Message

_PERMISSION = "pubsub.subscriptions.consume"
_PAGE = 1000
# Pub/Sub hides a message for at most this time. Batches that take longer receive it again, which is harmless.
_MAXIMUM_VISIBILITY_SECONDS = 600
# An empty subscription responds after a minute or more.
_WAIT_SECONDS = 5.0
_REQUEST_SECONDS = 60.0


@dataclass(frozen=True)
class PubSubQueue:
    """A subscription of Google Pub/Sub.

    Attributes:
        url: URL of the subscription.
        client: Client, which threads may share.
        subscription: Name, `projects/PROJECT/subscriptions/NAME`.
        page: Maximum number of messages of `receive`.
    """

    url: str
    client: SubscriberClient
    subscription: str
    page: int = _PAGE

    @classmethod
    def of(cls, url: str) -> Self:
        """Return the subscription at a URL, without contacting it.

        Args:
            url: `https://pubsub.googleapis.com/projects/PROJECT/subscriptions/NAME`.

        Raises:
            InputError: The URL does not name a subscription, or there are no credentials.
        """
        return cls(url, *subscriber(url))

    def count(self) -> None:
        """Check that this identity may receive messages. Pub/Sub does not count them."""
        with self._errors():
            try:
                granted = self.client.test_iam_permissions(
                    {"resource": self.subscription, "permissions": [_PERMISSION]}, timeout=_REQUEST_SECONDS
                )
            except MethodNotImplemented:
                # Emulators have no permissions.
                self.client.get_subscription(subscription=self.subscription, timeout=_REQUEST_SECONDS)
                return
        if not granted.permissions:
            raise InputError(
                f"queue: '{self.url}' does not exist, or this identity may not receive its messages. Correct the URL,"
                " or grant Pub/Sub Subscriber."
            )

    def receive(self) -> list[Message]:  # noqa: D102 - described by Queue, here and below
        with self._errors():
            try:
                received = self.client.pull(
                    subscription=self.subscription, max_messages=self.page, timeout=_WAIT_SECONDS
                ).received_messages
            except DeadlineExceeded:
                return []
            if received:
                self.client.modify_ack_deadline(
                    subscription=self.subscription,
                    ack_ids=[each.ack_id for each in received],
                    ack_deadline_seconds=min(queues.VISIBILITY_SECONDS, _MAXIMUM_VISIBILITY_SECONDS),
                    timeout=_REQUEST_SECONDS,
                )
        return [
            Message(each.message.message_id, each.ack_id, _body(each.message), each.message.publish_time.timestamp())
            for each in received
        ]

    def delete(self, messages: Sequence[Message]) -> None:  # noqa: D102
        with self._errors():
            for start in range(0, len(messages), _PAGE):
                self._acknowledge([each.receipt for each in messages[start : start + _PAGE]])

    def _acknowledge(self, receipts: list[str]) -> None:
        try:
            self.client.acknowledge(subscription=self.subscription, ack_ids=receipts, timeout=_REQUEST_SECONDS)
        except GoogleAPICallError as error:
            # A subscription with exactly-once delivery names the receipts that have expired, and accepts the others.
            # Pub/Sub delivers the messages of expired receipts again.
            if set(receipts).isdisjoint(error.metadata or ()):
                raise

    def _errors(self) -> Any:
        return client_errors("queue", self.url, "Grant Pub/Sub Subscriber")


def _body(message: PubsubMessage) -> str:
    """Return a notification's attributes as JSON; the data of any other message.

    The attributes name the object.
    """
    attributes = dict(message.attributes)
    return json.dumps(attributes) if "eventType" in attributes else message.data.decode(errors="replace")
