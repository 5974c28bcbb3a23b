"""The queues of a store's events in tests. The suite of discovery by events passes with each of them."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.request import urlopen

import grpc
import pytest
from azure.storage.queue import QueueClient
from google.pubsub_v1 import PublisherClient, PubsubMessage, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from pydantic import SecretStr

from components.ingest_images.discovery.clients import aws_client
from tests.support.landing_stores import LANDING_STORES, LandingStore
from tests.support.servers import AzureQueues, PubSubServer
from tests.support.store_events import azure_event, google_event, s3_event

_HIDDEN, _VISIBLE = "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessages"


@dataclass(frozen=True)
class EventQueue:
    """A queue of the events of a landing folder.

    Attributes:
        store: The store with the landing folder. Its access has the credentials of the queue, too.
        bucket: Bucket or container.
        url: URL of the queue.
        send: Sends messages.
        event: Returns the message about a file in a bucket or container.
        waiting: Returns the number of messages in the queue, visible or not.
    """

    store: LandingStore
    bucket: str
    url: str
    send: Callable[[Sequence[str]], None]
    event: Callable[[str, str], str]
    waiting: Callable[[], int]


def _sqs(request: pytest.FixtureRequest, name: str) -> EventQueue:
    endpoint: str = request.getfixturevalue("sqs")
    store = LANDING_STORES["s3"](request, name)
    client = aws_client("sqs", store.access, endpoint_url=endpoint)
    client.create_queue(QueueName=name)
    url = f"{endpoint}/000000000000/{name}"

    def send(bodies: Sequence[str]) -> None:
        for body in bodies:
            client.send_message(QueueUrl=url, MessageBody=body)

    def waiting() -> int:
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=[_HIDDEN, _VISIBLE])["Attributes"]
        return int(found[_HIDDEN]) + int(found[_VISIBLE])

    return EventQueue(store, name, url, send, s3_event, waiting)


def _azure(request: pytest.FixtureRequest, name: str) -> EventQueue:
    queues: AzureQueues = request.getfixturevalue("azure_queues")
    store = LANDING_STORES["azure"](request, name)
    store = replace(store, access=replace(store.access, azure_account_key=SecretStr(queues.account_key)))
    account = queues.url.rpartition("/")[2]
    url = f"{queues.url}/{name}"
    client = QueueClient.from_queue_url(url, {"account_name": account, "account_key": queues.account_key})
    client.create_queue()

    def send(bodies: Sequence[str]) -> None:
        for body in bodies:
            # Event Grid encodes messages.
            client.send_message(base64.b64encode(body.encode()).decode())

    def event(container: str, blob: str) -> str:
        return azure_event(account, container, blob)

    def waiting() -> int:
        return client.get_queue_properties().approximate_message_count or 0

    return EventQueue(store, name, url, send, event, waiting)


def _pubsub(request: pytest.FixtureRequest, name: str) -> EventQueue:
    server: PubSubServer = request.getfixturevalue("pubsub")
    store = LANDING_STORES["google"](request, name)
    channel = grpc.insecure_channel(server.address)
    publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
    topic, subscription = f"projects/tests/topics/{name}", f"projects/tests/subscriptions/{name}"
    publisher.create_topic(name=topic)
    subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
    subscriber.create_subscription(name=subscription, topic=topic)

    def send(bodies: Sequence[str]) -> None:
        publisher.publish(topic=topic, messages=[_message(body) for body in bodies])

    def waiting() -> int:
        with urlopen(f"http://{server.control}/unacknowledged?topic={topic}") as response:
            return int(response.read())

    return EventQueue(store, name, f"http://{server.address}/{subscription}", send, google_event, waiting)


def _message(body: str) -> PubsubMessage:
    try:
        return PubsubMessage(data=b"{}", attributes=json.loads(body))
    except ValueError:
        return PubsubMessage(data=body.encode())


# The function takes the name of a new bucket or container, and of the queue.
EVENT_QUEUES: Mapping[str, Callable[[pytest.FixtureRequest, str], EventQueue]] = MappingProxyType(
    {"sqs": _sqs, "azure": _azure, "pubsub": _pubsub}
)
