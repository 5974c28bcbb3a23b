"""A killed ingest that reads the messages of a queue loses and duplicates nothing when it is repeated."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.ingest_images.discovery.progress import DiscoveryProgress
from components.lake import Lake
from components.parameters import IngestOptions
from components.settings import Settings
from components.spark.session import spark_session
from tests.support.event_queues import EVENT_QUEUES
from tests.support.kills.loop_step import QUEUE
from tests.support.kills.scenarios import Place, kill_ingest
from tests.support.lake_stores import LAKE_STORES

_NAME = "kills-with-events"


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize(("store", "queue"), [("s3", "sqs"), ("google", "pubsub")])
def test_killed_ingest_with_duplicate_and_reordered_events_loses_and_duplicates_nothing(
    store: str,
    queue: str,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    lake_store, landing = LAKE_STORES[store](request), EVENT_QUEUES[queue](request, _NAME)
    environment = {**lake_store.environment, "IMAGE_PIPELINES_LOCK": str(tmp_path / "locks"), QUEUE: landing.url}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    root = f"{lake_store.scheme}://{_NAME}"
    settings = Settings.load(lake=f"{root}/lake")
    lake = Lake.open_or_create(spark_session(settings), settings)
    (tmp_path / "work").mkdir()
    # Without a full listing, a file is found by its message only.
    glob = IngestOptions().glob
    DiscoveryProgress(source=landing.store.source, glob=glob, full_listing_at=datetime.now(UTC)).write(lake)
    sent: list[str] = []

    def announce(uri: str) -> None:
        sent.append(landing.event(_NAME, uri.removeprefix(f"{root}/")))
        # Each message comes twice, and one of an earlier file again.
        landing.send([random.choice(sent), sent[-1], "not JSON", sent[-1]])

    kill_ingest(Place(lake, root, tmp_path / "work", environment), announce)
