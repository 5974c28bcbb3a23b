"""Continuous mode: a stream processes new files until SIGTERM, and ends after the current batch."""

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

from components.errors import InputError
from components.ingest_images.ingest import IngestResult, ingest, ingest_folder
from components.ingest_images.report import write_report
from components.lake import Lake
from components.lake.tables import IMAGES, PREDICTIONS, Table
from components.registry.champion import read_succession, require_champion, roll_back
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.score_images.score import score_lake
from components.score_images.state import read_state
from components.settings import Settings
from pipelines import streams
from tests.support.lake_rows import append_images
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.tracking import make_tracking

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
    # Read the table's log, because a query would take the cores that the stream needs.
    log = Path(lake.path(table).removeprefix("file://")) / "_delta_log"
    wait_until((log / f"{version:020}.json").exists)


def during(stream: Callable[[], object], scenario: Callable[[], None]) -> None:
    """Run a stream and a scenario at the same time, then end the stream by SIGTERM like Kubernetes."""
    before = signal.getsignal(signal.SIGTERM)

    def run() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before)
        try:
            scenario()
        finally:
            # After a stream that failed, the signal would end the tests.
            if signal.getsignal(signal.SIGTERM) is not before:
                os.kill(os.getpid(), signal.SIGTERM)

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(run)
        stream()
    done.result()
    assert signal.getsignal(signal.SIGTERM) is before


def test_ingest_repeats_until_sigterm(lake: Lake, tmp_path: Path) -> None:
    landing, status = tmp_path / "landing", tmp_path / "lake" / "_status" / "ingest_unlabeled.json"
    landing.mkdir()

    def scenario() -> None:
        for number in (1, 2):
            (landing / f"{number}.jpg").write_bytes(jpeg(number))
            wait_for_version(lake, IMAGES, number)
            # The status is also written while the stream runs.
            wait_until(lambda: status.exists() and json.loads(status.read_text())["found"] == number)  # noqa: B023 - called at once

    result: list[IngestResult] = []

    def stream() -> None:
        result.append(ingest_folder(lake, landing.as_uri(), labeled=False, continuous_interval=_INTERVAL))

    during(stream, scenario)

    assert lake.read(IMAGES).count() == 2
    assert [(each.found, each.ingested) for each in result] == [(2, 2)]
    write_report(result[0], str(tmp_path / "report.html"))
    assert "1.jpg" in (tmp_path / "report.html").read_text()
    # It left nothing behind: no lock and no open plan.
    assert ingest_folder(lake, landing.as_uri(), labeled=False).found == 0


def test_invalid_interval_raises_an_error_before_any_work(tmp_path: Path) -> None:
    settings = Settings.load(lake=str(tmp_path / "lake"))

    with pytest.raises(InputError, match=r"^continuous_interval: 'soon' is not an interval"):
        ingest(settings, str(tmp_path), continuous_interval="soon")

    assert not (tmp_path / "lake").exists()


@pytest.mark.slow
def test_stream_scores_by_the_current_champion_after_promotion_and_rollback(lake: Lake, tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    registry = ModelRegistry(tracking, "continuous")
    for label in (3, 5):
        model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5, 7), label))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})

    def arrive(number: int) -> None:
        append_images(lake, [(f"file:/d/{number}.jpg", jpeg(number), None)], datetime.now(UTC))

    def has_searched() -> bool:
        versions = read_succession(registry, registry.champion()).versions
        return read_state(lake, registry.model_name).searched == tuple(version.digest for version in versions)

    def scenario() -> None:
        for number, version in ((1, "1"), (2, "2")):
            registry.set_alias(CHAMPION, version)
            arrive(number)
            wait_for_version(lake, PREDICTIONS, number)
        # The stream has looked for gaps that the promotion has left.
        wait_until(has_searched)
        roll_back(registry, "2", "", "ann")
        # Of the image that only the withdrawn version has scored.
        wait_for_version(lake, PREDICTIONS, 3)
        arrive(3)
        wait_for_version(lake, PREDICTIONS, 4)

    registry.set_alias(CHAMPION, "1")
    during(
        lambda: score_lake(lake, registry, require_champion(registry), continuous_interval=_INTERVAL, rescore_days=0),
        scenario,
    )

    rows = lake.read(PREDICTIONS).orderBy("path", "scored_at").collect()
    assert [(row["path"], row["model_version"], row["predicted_label"]) for row in rows] == [
        ("file:/d/1.jpg", "1", 3),
        ("file:/d/2.jpg", "2", 5),
        ("file:/d/2.jpg", "1", 3),
        ("file:/d/3.jpg", "1", 3),
    ]


def test_bad_setting_ends_the_stream_with_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGE_PIPELINES_UNLABELED_SOURCE", raising=False)

    with pytest.raises(SystemExit, match=r"^unlabeled_source: not set\."):
        streams.main(["ingest"])
