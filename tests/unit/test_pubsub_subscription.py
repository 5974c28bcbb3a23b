"""Test a subscription of Pub/Sub where the fake differs from the service. Tokens are sent to Google's hosts only."""

import socket
from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import FailedPrecondition, GoogleAPICallError

from components.errors import InputError, TransientError
from components.ingest_images.discovery import pubsub_queue
from components.ingest_images.discovery.google_clients import subscriber
from components.ingest_images.discovery.pubsub_queue import PubSubQueue
from components.ingest_images.discovery.queues import Message

NAME = "projects/shop/subscriptions/landing"
URL = f"https://pubsub.googleapis.com/{NAME}"


def test_emulator_is_used_without_credentials() -> None:
    _, subscription = subscriber(f"http://127.0.0.1:8085/{NAME}")

    assert subscription == NAME


@pytest.mark.parametrize(
    "url",
    [
        "https://pubsub.googleapis.com/projects/shop/topics/landing",
        "https://pubsub.googleapis.com/landing",
        f"https://example.com/{NAME}",
        f"https://pubsub.googleapis.com.example.com/{NAME}",
        f"https://somebody@pubsub.googleapis.com/{NAME}",
        f"grpc://example.com/{NAME}",
    ],
)
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(
        InputError, match=r"^queue: '.*' is not the URL of a Pub/Sub subscription\. Write https://pubsub"
    ):
        subscriber(url)


def queue(**requests: Any) -> PubSubQueue:
    """Return a queue whose client has only these requests."""
    return PubSubQueue(URL, SimpleNamespace(**requests), NAME)


@pytest.mark.parametrize("granted", [["pubsub.subscriptions.consume"], []])
def test_identity_that_may_not_receive_messages_is_named_before_it_tries(granted: list[str]) -> None:
    asked: list[Any] = []

    def test_iam_permissions(request: Any, timeout: float) -> Any:
        asked.append(request)
        return SimpleNamespace(permissions=granted)

    checked = queue(test_iam_permissions=test_iam_permissions)

    if granted:
        checked.count()
    else:
        with pytest.raises(InputError, match=rf"^queue: '{URL}' does not exist, or this identity may not receive"):
            checked.count()
    assert asked == [{"resource": NAME, "permissions": ["pubsub.subscriptions.consume"]}]


def test_service_that_accepts_connections_and_never_responds_is_no_empty_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pubsub_queue, "_REQUEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/{NAME}"

        with pytest.raises(TransientError, match=rf"^queue: '{url}' does not answer \("):
            PubSubQueue.of(url).count()


def refusing(receipt: str) -> PubSubQueue:
    """Return a queue that refuses a receipt, as a subscription with exactly-once delivery refuses an expired one."""
    kind: Any = FailedPrecondition
    error: GoogleAPICallError = kind(
        "some acknowledgments failed", error_info={"metadata": {receipt: "PERMANENT_FAILURE_INVALID_ACK_ID"}}
    )

    def acknowledge(subscription: str, ack_ids: list[str], timeout: float) -> None:
        raise error

    return queue(acknowledge=acknowledge)


def test_expired_receipts_are_ignored_and_other_failures_are_not() -> None:
    messages = [Message("1", "expired", ""), Message("2", "valid", "")]

    refusing("expired").delete(messages)
    with pytest.raises(InputError, match=rf"^queue: the request to '{URL}' failed \(FailedPrecondition\)"):
        refusing("another").delete(messages)
