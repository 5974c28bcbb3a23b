"""Test the URLs of Pub/Sub's subscriptions. A token is sent to Google's hosts only."""

import pytest

from components.errors import InputError
from components.ingest_images.discovery.google_clients import subscriber


def test_emulator_is_used_without_credentials() -> None:
    _, subscription = subscriber("http://127.0.0.1:8085/projects/shop/subscriptions/landing")

    assert subscription == "projects/shop/subscriptions/landing"


@pytest.mark.parametrize(
    "url",
    [
        "https://pubsub.googleapis.com/projects/shop/topics/landing",
        "https://pubsub.googleapis.com/landing",
        "https://example.com/projects/shop/subscriptions/landing",
        "https://pubsub.googleapis.com.example.com/projects/shop/subscriptions/landing",
    ],
)
def test_other_url_is_refused(url: str) -> None:
    with pytest.raises(
        InputError, match=r"^queue: '.*' is not the URL of a Pub/Sub subscription\. Write https://pubsub"
    ):
        subscriber(url)
