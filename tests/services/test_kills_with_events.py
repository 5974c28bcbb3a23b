"""A killed ingest that reads the messages of a queue loses and duplicates nothing when it is repeated."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.ingest_images.discovery.clients import aws_client
from components.ingest_images.discovery.progress import DiscoveryProgress
from components.lake import Lake
from components.parameters import IngestOptions
from components.settings import Settings
from components.spark.session import spark_session
from components.storage.access import Access
from tests.support.kills.loop_step import QUEUE
from tests.support.kills.scenarios import Place, kill_ingest
from tests.support.servers import S3Server
from tests.support.store_events import s3_event

_BUCKET = "kills-with-events"


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_ingest_with_duplicate_and_reordered_events_loses_and_duplicates_nothing(
    s3: S3Server, sqs: str, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = f"{sqs}/000000000000/{_BUCKET}"
    environment = {**s3.environment, "IMAGE_PIPELINES_LOCK": str(tmp_path / "locks"), QUEUE: queue}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    s3.make_bucket(_BUCKET)
    settings = Settings.load(lake=f"s3a://{_BUCKET}/lake")
    lake = Lake.open_or_create(spark_session(settings), settings)
    client = aws_client("sqs", Access.of(settings), endpoint_url=sqs)
    client.create_queue(QueueName=_BUCKET)
    (tmp_path / "work").mkdir()
    # Without a full listing, a file is found by its message only.
    source = f"s3a://{_BUCKET}/landing"
    DiscoveryProgress(source=source, glob=IngestOptions().glob, full_listing_at=datetime.now(UTC)).write(lake)
    sent: list[str] = []

    def announce(uri: str) -> None:
        sent.append(s3_event(_BUCKET, uri.removeprefix(f"s3a://{_BUCKET}/")))
        # Each message comes twice, and one of an earlier file again.
        for body in (random.choice(sent), sent[-1], "not JSON", sent[-1]):
            client.send_message(QueueUrl=queue, MessageBody=body)

    kill_ingest(Place(lake, f"s3a://{_BUCKET}", tmp_path / "work", environment), announce)
