"""Test the discovery of new files by the messages of SQS and of Azure's queues."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueClient
from pydantic import SecretStr

from components.errors import InputError
from components.ingest_images.discovery import queues
from components.ingest_images.discovery.azure_listing import AzureListing
from components.ingest_images.discovery.clients import aws_client
from components.ingest_images.discovery.discover import Discovered, Discovery
from components.ingest_images.discovery.progress import DiscoveryProgress
from components.ingest_images.discovery.queues import open_queue
from components.lake import Lake
from components.lake.tables import FILES, IMAGE
from components.parameters.ingest import IngestOptions
from components.settings import Settings
from components.storage.access import Access
from tests.support.servers import AzureQueues, Azurite, S3Server
from tests.support.store_events import azure_event, s3_event, s3_through_sns

ACCOUNT = "devstoreaccount1"


@dataclass(frozen=True)
class Landing:
    """A landing folder in a store, with the queue of its events.

    Attributes:
        source: URI of the folder.
        queue: URL of the queue.
        access: Credentials of both.
        listing: Listing of an emulator; None for the listing of the source.
        put: Writes a file.
        send: Sends messages.
        event: Returns the message about a file in a bucket or container.
        bucket: Bucket or container.
    """

    source: str
    queue: str
    access: Access
    listing: AzureListing | None
    put: Callable[[str, bytes], None]
    send: Callable[[Sequence[str]], None]
    event: Callable[[str, str], str]
    bucket: str

    def discovery(self, lake: Lake) -> Discovery:
        discovery = Discovery(lake, self.source, IngestOptions(queue=self.queue), self.access)
        if self.listing is not None:
            discovery.listing = self.listing
        return discovery

    def waiting(self) -> int:
        """Return the number of messages in the queue, visible or not."""
        queue = open_queue(self.queue, self.source, self.access)
        if isinstance(queue, queues.AzureQueue):
            return queue.count()
        hidden = "ApproximateNumberOfMessagesNotVisible"
        attributes = queue.client.get_queue_attributes(QueueUrl=self.queue, AttributeNames=[hidden])  # type: ignore[attr-defined]
        return queue.count() + int(attributes["Attributes"][hidden])


@pytest.fixture(params=["sqs", "azure"])
def landing(request: pytest.FixtureRequest) -> Landing:
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:50].strip("-")
    if request.param == "sqs":
        return landing_on_s3(request.getfixturevalue("s3"), request.getfixturevalue("sqs"), name)
    return landing_on_azure(request.getfixturevalue("azurite"), request.getfixturevalue("azure_queues"), name)


def landing_on_s3(s3: S3Server, sqs: str, name: str) -> Landing:
    access = Access.of(
        Settings(s3_endpoint=s3.url, s3_access_key=SecretStr(s3.access_key), s3_secret_key=SecretStr(s3.secret_key))
    )
    s3.make_bucket(name)
    store, client = aws_client("s3", access), aws_client("sqs", access, endpoint_url=sqs)
    client.create_queue(QueueName=name)
    queue = f"{sqs}/000000000000/{name}"

    def put(key: str, content: bytes) -> None:
        store.put_object(Bucket=name, Key=f"landing/{key}", Body=content)

    def send(bodies: Sequence[str]) -> None:
        for body in bodies:
            client.send_message(QueueUrl=queue, MessageBody=body)

    return Landing(f"s3a://{name}/landing", queue, access, None, put, send, s3_event, name)


def landing_on_azure(azurite: Azurite, azure_queues: AzureQueues, name: str) -> Landing:
    access = Access.of(Settings(azure_account_key=SecretStr(azure_queues.account_key)))
    container = BlobServiceClient.from_connection_string(azurite.connection_string).create_container(name)
    queue = f"{azure_queues.url}/{name}"
    client = QueueClient.from_queue_url(queue, {"account_name": ACCOUNT, "account_key": azure_queues.account_key})
    client.create_queue()
    source = f"abfss://{name}@{ACCOUNT}.dfs.core.windows.net/landing"

    def put(key: str, content: bytes) -> None:
        container.upload_blob(f"landing/{key}", content, overwrite=True)

    def send(bodies: Sequence[str]) -> None:
        for body in bodies:
            # Event Grid encodes messages.
            client.send_message(base64.b64encode(body.encode()).decode())

    def event(bucket: str, key: str) -> str:
        return azure_event(ACCOUNT, bucket, key)

    return Landing(source, queue, access, AzureListing(source, container, "landing/"), put, send, event, name)


@pytest.fixture
def listed_lake(lake: Lake, landing: Landing) -> Lake:
    """A lake whose first full listing is done."""
    DiscoveryProgress(source=landing.source, glob="", full_listing_at=datetime.now(UTC)).write(lake)
    return lake


def commit(lake: Lake, batch: Discovered) -> None:
    """Record a batch in `files`, as ingest does before it acknowledges."""
    rows = lake.spark.createDataFrame(batch.files).selectExpr("*", f"'{IMAGE}' AS state")
    lake.upsert(FILES, lake.read(FILES).limit(0).unionByName(rows, allowMissingColumns=True))


def names(batches: Sequence[Discovered]) -> list[str]:
    return [path.rpartition("/landing/")[2] for batch in batches for path in batch.files["path"].to_pylist()]


def test_messages_are_deleted_only_after_the_commit(listed_lake: Lake, landing: Landing) -> None:
    landing.put("a 1+%20é.jpg", b"content")
    landing.send([landing.event(landing.bucket, "landing/a 1+%20é.jpg")])

    [batch] = landing.discovery(listed_lake)
    assert names([batch]) == ["a 1+%20é.jpg"]
    commit(listed_lake, batch)
    assert landing.waiting() == 1
    batch.acknowledge()

    assert landing.waiting() == 0


@pytest.mark.slow
def test_duplicates_reordered_and_late_messages_are_harmless(listed_lake: Lake, landing: Landing) -> None:
    events = [landing.event(landing.bucket, f"landing/{name}.jpg") for name in "abc"]
    for name in "ab":
        landing.put(f"{name}.jpg", b"old")
    landing.send([events[1], events[0], events[1], events[2]])
    landing.put("a.jpg", b"newer")

    discovery = landing.discovery(listed_lake)
    [batch] = discovery
    commit(listed_lake, batch)
    batch.acknowledge()

    assert names([batch]) == ["a.jpg", "b.jpg"]
    assert batch.files["length"].to_pylist() == [5, 3]
    assert discovery.counts.vanished == 1
    landing.send(events)
    assert list(landing.discovery(listed_lake)) == []
    assert landing.waiting() == 0


def test_message_returns_after_a_failure(listed_lake: Lake, landing: Landing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queues, "VISIBILITY_SECONDS", 1)
    landing.put("a.jpg", b"content")
    landing.send([landing.event(landing.bucket, "landing/a.jpg")])

    # The run fails between this batch and its commit.
    next(iter(landing.discovery(listed_lake)))
    sleep(1.5)

    assert names(list(landing.discovery(listed_lake))) == ["a.jpg"]


def test_poison_messages_are_set_aside_and_the_rest_is_found(listed_lake: Lake, landing: Landing) -> None:
    landing.put("a.jpg", b"content")
    poison = ["not JSON", landing.event("other", "landing/a.jpg"), landing.event(landing.bucket, "elsewhere/a.jpg")]
    landing.send(
        [*poison, landing.event(landing.bucket, "landing/a.jpg"), landing.event(landing.bucket, "landing/b.txt")]
    )

    discovery = landing.discovery(listed_lake)
    [batch] = discovery
    batch.acknowledge()

    assert names([batch]) == ["a.jpg"]
    assert (discovery.counts.poison_messages, discovery.counts.suffixes) == (3, {".txt": 1})
    assert landing.waiting() == 0
    [file] = Path(listed_lake.root.removeprefix("file://")).glob("_messages/*/*.jsonl")
    set_aside = [json.loads(line) for line in file.read_text().splitlines()]
    assert {each["reason"].partition(":")[0] for each in set_aside} == {"not JSON", "outside of the source"}
    assert len(set_aside) == 3


def test_full_listing_finds_files_whose_messages_were_lost(lake: Lake, landing: Landing) -> None:
    landing.put("lost.jpg", b"content")
    landing.put("sent.jpg", b"content")
    landing.send([landing.event(landing.bucket, "landing/sent.jpg")])

    batches = []
    discovery = landing.discovery(lake)
    for batch in discovery:
        commit(lake, batch)
        batch.acknowledge()
        batches.append(batch)

    assert names(batches) == ["lost.jpg", "sent.jpg"]
    assert discovery.counts.modes == ["full listing", "events"]
    assert landing.waiting() == 0
    landing.put("lost again.jpg", b"content")
    assert list(landing.discovery(lake)) == []
    progress = DiscoveryProgress.read(lake, landing.source)
    assert progress is not None
    progress.model_copy(update={"full_listing_at": datetime(2026, 1, 1, tzinfo=UTC)}).write(lake)
    assert names(list(landing.discovery(lake))) == ["lost again.jpg"]


def test_missing_queue_is_refused(listed_lake: Lake, landing: Landing) -> None:
    with pytest.raises(InputError, match=f"queue: '{landing.queue}-none' not found"):
        list(replace(landing, queue=f"{landing.queue}-none").discovery(listed_lake))


def test_s3_events_through_sns_are_read(lake: Lake, s3: S3Server, sqs: str) -> None:
    landing = landing_on_s3(s3, sqs, "through-sns")
    DiscoveryProgress(source=landing.source, glob="", full_listing_at=datetime.now(UTC)).write(lake)
    landing.put("a.jpg", b"content")
    landing.send([s3_through_sns("through-sns", "landing/a.jpg")])

    assert names(list(landing.discovery(lake))) == ["a.jpg"]
