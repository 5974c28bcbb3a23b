"""Continuous mode: a stream takes in what arrives until SIGTERM, and ends after the batch in hand."""

import hashlib
import io
import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from components import continuous
from components.errors import InputError
from components.ingest_images.ingest import IngestResult, ingest, ingest_folder
from components.ingest_images.report import write_report
from components.lake import Lake, frame
from components.lake.tables import IMAGES, PREDICTIONS, Table
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.score_images.score import require_champion, score_lake
from components.settings import Settings
from tests.local.saved_model_factory import constant_classifier, log_classifier

_DEADLINE_SECONDS = 120
_INTERVAL = "200 milliseconds"


def jpeg(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, 90, 160)).save(buffer, "JPEG")
    return buffer.getvalue()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the stream did not get there")
        time.sleep(0.1)


def wait_for_version(lake: Lake, table: Table, version: int) -> None:
    # Of the table's log: a query would take the cores that the stream needs.
    log = Path(lake.path(table).removeprefix("file://")) / "_delta_log"
    wait_until((log / f"{version:020}.json").exists)


def during(stream: Callable[[], object], scenario: Callable[[], None]) -> None:
    """Run a stream, a scenario beside it, and end the stream by SIGTERM as Kubernetes does."""
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before)
        try:
            scenario()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(run)
        stream()
    done.result()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ingest_takes_in_what_arrives_until_it_is_told_to_end(lake: Lake, tmp_path: Path) -> None:
    landing, status = tmp_path / "landing", tmp_path / "lake" / "_status" / "ingest_unlabelled.json"
    landing.mkdir()

    def scenario() -> None:
        for number in (1, 2):
            (landing / f"{number}.jpg").write_bytes(jpeg(number))
            wait_for_version(lake, IMAGES, number)
            # Not only when it ends: the notification of a pipeline beside it reads this.
            wait_until(lambda: status.exists() and json.loads(status.read_text())["found"] == number)  # noqa: B023 - called at once

    result: list[IngestResult] = []
    during(lambda: result.append(ingest_folder(lake, landing.as_uri(), "*.jpg", None, _INTERVAL)), scenario)

    assert lake.read(IMAGES).count() == 2
    assert [(each.found, each.ingested) for each in result] == [(2, 2)]
    write_report(result[0], str(tmp_path / "report.html"))
    assert "1.jpg" in (tmp_path / "report.html").read_text()
    # It left nothing behind: no lock, and a checkpoint that the next run goes on from.
    assert ingest_folder(lake, landing.as_uri(), "*.jpg", None).found == 0


def test_an_interval_that_is_no_time_is_told_before_anything_is_done(tmp_path: Path) -> None:
    settings = Settings.load(lake=str(tmp_path / "lake"))

    with pytest.raises(InputError, match=r"^continuous_interval: 'soon' is no time"):
        ingest(settings, str(tmp_path), continuous_interval="soon")

    assert not (tmp_path / "lake").exists()


def test_scoring_goes_over_to_a_new_champion(lake: Lake, tmp_path: Path) -> None:
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(tracking, "continuous")
    for label in (3, 5):
        model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5, 7), label))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})

    def arrive(number: int) -> None:
        content, now = jpeg(number), datetime.now(UTC)
        digest = hashlib.sha256(content).hexdigest()
        row = (f"file:/d/{number}.jpg", now, len(content), content, digest, None, now.date(), now)
        lake.insert_new(IMAGES, frame(lake.spark, [row], IMAGES.columns))

    def scenario() -> None:
        for number, version in ((1, "1"), (2, "2")):
            registry.set_alias(CHAMPION, version)
            arrive(number)
            wait_for_version(lake, PREDICTIONS, number)

    registry.set_alias(CHAMPION, "1")
    during(
        lambda: score_lake(lake, registry, require_champion(registry), continuous_interval=_INTERVAL),
        scenario,
    )

    said = {row["path"]: (row["model_version"], row["predicted_label"]) for row in lake.read(PREDICTIONS).collect()}
    assert said == {"file:/d/1.jpg": ("1", 3), "file:/d/2.jpg": ("2", 5)}


def test_what_a_person_can_mend_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_PIPELINES_UNLABELLED_SOURCE", raising=False)

    with pytest.raises(SystemExit, match=r"^unlabelled_source: not set\."):
        continuous.main(["ingest"])
