"""Clients of Google's services, which take a second to load."""

import re
from urllib.parse import urlsplit

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client
from google.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from requests.adapters import HTTPAdapter

from components.errors import InputError
from components.ingest_images.discovery.clients import client_errors
from components.storage.access import Access

_CREDENTIALS_ADVICE = "Set up application default credentials, e.g. the task's workload identity"
_SUBSCRIPTION = re.compile(r"/(?:v1/)?(projects/[^/]+/subscriptions/[^/]+)/?")
# A token grants all access of its identity, so only Google's own hosts may receive it.
_GOOGLE_HOST = re.compile(r"([a-z0-9-]+-)?pubsub\.googleapis\.com")
# Threads that may use a client at once. By default, a client keeps ten connections, and logs each one that it drops.
_CONNECTIONS = 32


def storage_client(access: Access) -> Client:
    """Return a client of Google Cloud Storage, which threads may share.

    Args:
        access: Address of an emulator; without one, Google's own service.

    Raises:
        InputError: There are no credentials.
    """
    if access.gcs_endpoint:
        anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
        client = Client(project="emulator", credentials=anonymous, client_options={"api_endpoint": access.gcs_endpoint})
    else:
        with client_errors("source", "gs://", _CREDENTIALS_ADVICE):
            # No request of the pipelines needs a project.
            client = Client(project="none")
    for scheme in ("http://", "https://"):
        client._http.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
    return client


def subscriber(url: str) -> tuple[SubscriberClient, str]:
    """Return a Pub/Sub client, which threads may share, and a subscription's name.

    Args:
        url: `https://pubsub.googleapis.com/projects/PROJECT/subscriptions/NAME`, or the same below the URL of an
            emulator, `http://host:port`, which gets no credentials.

    Raises:
        InputError: The URL does not name a subscription, or there are no credentials.
    """
    parts = urlsplit(url)
    match = _SUBSCRIPTION.fullmatch(parts.path)
    is_emulator = parts.scheme == "http"
    is_google = parts.scheme == "https" and _GOOGLE_HOST.fullmatch(parts.netloc)
    if match is None or not (is_emulator or is_google):
        raise InputError(
            f"queue: '{url}' is not the URL of a Pub/Sub subscription. Write"
            " https://pubsub.googleapis.com/projects/PROJECT/subscriptions/NAME."
        )
    if is_emulator:
        transport = SubscriberGrpcTransport(channel=grpc.insecure_channel(parts.netloc))
        return SubscriberClient(transport=transport), match[1]
    with client_errors("queue", url, _CREDENTIALS_ADVICE):
        return SubscriberClient(client_options={"api_endpoint": parts.netloc}), match[1]
