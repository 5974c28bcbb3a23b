"""Test the discovery of new files by the messages of each store's queue."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import sleep

import pytest

from components.errors import InputError
from components.ingest_images.discovery import queues
from components.ingest_images.discovery.discover import Discovered, Discovery
from components.ingest_images.discovery.progress import DiscoveryProgress
from components.ingest_images.discovery.queues import Message
from components.lake import Lake
from components.lake.tables import FILES, IMAGE
from components.parameters.ingest import IngestOptions
from tests.support.event_queues import EVENT_QUEUES, EventQueue
from tests.support.store_events import s3_through_sns


@pytest.fixture(params=EVENT_QUEUES)
def landing(request: pytest.FixtureRequest) -> EventQueue:
    """A landing folder with each kind of queue."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")[:50].strip("-")
    return EVENT_QUEUES[request.param](request, name)


def discovery_of(landing: EventQueue, lake: Lake) -> Discovery:
    discovery = Discovery(lake, landing.store.source, IngestOptions(queue=landing.url), landing.store.access)
    # Azure's listing can be opened for Azure itself only.
    discovery.listing = landing.store.listing
    return discovery


@pytest.fixture
def listed_lake(lake: Lake, landing: EventQueue) -> Lake:
    """A lake whose first full listing is done."""
    DiscoveryProgress(source=landing.store.source, glob="", full_listing_at=datetime.now(UTC)).write(lake)
    return lake


def commit(lake: Lake, batch: Discovered) -> None:
    """Record a batch in `files`, as ingest does before it acknowledges."""
    rows = lake.spark.createDataFrame(batch.files).selectExpr("*", f"'{IMAGE}' AS state")
    lake.upsert(FILES, lake.read(FILES).limit(0).unionByName(rows, allowMissingColumns=True))


def names(batches: Sequence[Discovered]) -> list[str]:
    return [path.rpartition("/landing/")[2] for batch in batches for path in batch.files["path"].to_pylist()]


def test_messages_are_deleted_only_after_the_commit(listed_lake: Lake, landing: EventQueue) -> None:
    landing.store.put({"a 1+%20é.jpg": b"content"})
    landing.send([landing.event(landing.bucket, "landing/a 1+%20é.jpg")])

    [batch] = discovery_of(landing, listed_lake)
    assert names([batch]) == ["a 1+%20é.jpg"]
    commit(listed_lake, batch)
    assert landing.waiting() == 1
    batch.acknowledge()

    assert landing.waiting() == 0


@pytest.mark.slow
def test_duplicates_reordered_and_late_messages_are_harmless(listed_lake: Lake, landing: EventQueue) -> None:
    events = [landing.event(landing.bucket, f"landing/{name}.jpg") for name in "abc"]
    for name in "ab":
        landing.store.put({f"{name}.jpg": b"old"})
    landing.send([events[1], events[0], events[1], events[2]])
    landing.store.put({"a.jpg": b"newer"})

    discovery = discovery_of(landing, listed_lake)
    [batch] = discovery
    commit(listed_lake, batch)
    batch.acknowledge()

    assert names([batch]) == ["a.jpg", "b.jpg"]
    assert batch.files["length"].to_pylist() == [5, 3]
    assert discovery.counts.vanished == 1
    landing.send(events)
    assert list(discovery_of(landing, listed_lake)) == []
    assert landing.waiting() == 0


def test_message_returns_after_a_failure(
    listed_lake: Lake, landing: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "VISIBILITY_SECONDS", 1)
    landing.store.put({"a.jpg": b"content"})
    landing.send([landing.event(landing.bucket, "landing/a.jpg")])

    # The run fails between this batch and its commit.
    next(iter(discovery_of(landing, listed_lake)))
    sleep(1.5)

    assert names(list(discovery_of(landing, listed_lake))) == ["a.jpg"]


def test_poison_messages_are_set_aside_and_the_rest_is_found(listed_lake: Lake, landing: EventQueue) -> None:
    landing.store.put({"a.jpg": b"content"})
    poison = ["not JSON", landing.event("other", "landing/a.jpg"), landing.event(landing.bucket, "elsewhere/a.jpg")]
    landing.send(
        [*poison, landing.event(landing.bucket, "landing/a.jpg"), landing.event(landing.bucket, "landing/b.txt")]
    )

    discovery = discovery_of(landing, listed_lake)
    [batch] = discovery
    batch.acknowledge()

    assert names([batch]) == ["a.jpg"]
    assert (discovery.counts.poison_messages, discovery.counts.suffixes) == (3, {".txt": 1})
    assert landing.waiting() == 0
    [file] = Path(listed_lake.root.removeprefix("file://")).glob("_messages/*/*.jsonl")
    set_aside = [json.loads(line) for line in file.read_text().splitlines()]
    assert {each["reason"].partition(":")[0] for each in set_aside} == {"not JSON", "outside of the source"}
    assert len(set_aside) == 3


def test_full_listing_finds_files_whose_messages_were_lost(lake: Lake, landing: EventQueue) -> None:
    landing.store.put({"lost.jpg": b"content"})
    landing.store.put({"sent.jpg": b"content"})
    landing.send([landing.event(landing.bucket, "landing/sent.jpg")])

    batches = []
    discovery = discovery_of(landing, lake)
    for batch in discovery:
        commit(lake, batch)
        batch.acknowledge()
        batches.append(batch)

    assert names(batches) == ["lost.jpg", "sent.jpg"]
    assert discovery.counts.modes == ["full listing", "events"]
    assert landing.waiting() == 0
    landing.store.put({"lost again.jpg": b"content"})
    assert list(discovery_of(landing, lake)) == []
    progress = DiscoveryProgress.read(lake, landing.store.source)
    assert progress is not None
    progress.model_copy(update={"full_listing_at": datetime(2026, 1, 1, tzinfo=UTC)}).write(lake)
    assert names(list(discovery_of(landing, lake))) == ["lost again.jpg"]


def test_missing_queue_is_refused(listed_lake: Lake, landing: EventQueue) -> None:
    with pytest.raises(InputError, match=f"queue: '{landing.url}-none' not found"):
        list(discovery_of(replace(landing, url=f"{landing.url}-none"), listed_lake))


def test_reader_ends_although_messages_keep_arriving(
    listed_lake: Lake, landing: EventQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    landing.store.put({"a.jpg": b"content"})
    event = landing.event(landing.bucket, "landing/a.jpg")
    landing.send([event])
    discovery = discovery_of(landing, listed_lake)
    assert discovery.queue is not None
    receive = type(discovery.queue).receive

    def receive_after_another_event(queue: queues.Queue) -> list[Message]:
        landing.send([event])
        return receive(queue)

    monkeypatch.setattr(type(discovery.queue), "receive", receive_after_another_event)

    assert names(list(discovery)) == ["a.jpg"]


def test_s3_events_through_sns_are_read(lake: Lake, request: pytest.FixtureRequest) -> None:
    landing = EVENT_QUEUES["sqs"](request, "through-sns")
    DiscoveryProgress(source=landing.store.source, glob="", full_listing_at=datetime.now(UTC)).write(lake)
    landing.store.put({"a.jpg": b"content"})
    landing.send([s3_through_sns("through-sns", "landing/a.jpg")])

    assert names(list(discovery_of(landing, lake))) == ["a.jpg"]
