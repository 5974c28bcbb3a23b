"""The doctor on clocks, locks, and work that is overdue."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.export_for_labeling.status import NAME as EXPORT
from components.export_for_labeling.status import BatchStatus
from components.ingest_images.status import LABELED, UNLABELED, IngestStatus
from components.lock import writer_lock
from components.lock.holders import HeldLock
from components.score_images.state import NAME as SCORING
from components.score_images.state import ModelState, ScoringState
from components.settings import Settings
from components.storage.notes import write_note
from pipelines.deployment.cron import latest_before, parse_cron
from pipelines.doctor.clocks import check_clocks, difference, servers
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, Level
from pipelines.doctor.lag import check_lag, ingest_of
from pipelines.doctor.locks import check_locks, finding_of

NOW = datetime(2026, 11, 30, 18, tzinfo=UTC)
DAILY = "0 0 2 * * *"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Settings(lake=str(tmp_path / "lake"), model_name="digits"))


def write_ingest(context: Context, kind: str, at: datetime) -> None:
    status = IngestStatus(finished_at=at, source="file:///new", found=1, ingested=1, quarantined=0)
    write_note(context.root, f"ingest_{kind}", status, context.files)


def serious(findings: list[Finding]) -> list[str]:
    return [each.what for each in findings if each.level is not Level.OK]


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("0 0 2 * * *", datetime(2026, 11, 30, 2, tzinfo=UTC)),
        ("0 30 18 * * *", datetime(2026, 11, 29, 18, 30, tzinfo=UTC)),
        # 2026-11-30 is a Monday.
        ("0 0 8 * * SUN", datetime(2026, 11, 29, 8, tzinfo=UTC)),
        ("0 0 8 1 * *", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        # If both days are restricted, one of them is enough.
        ("0 0 8 1 * SUN", datetime(2026, 11, 29, 8, tzinfo=UTC)),
        ("0 0 0 29 2 *", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_newest_due_time_of_a_cron_expression(cron: str, due: datetime) -> None:
    assert latest_before(parse_cron(cron), NOW) == due


def test_ingest_that_ended_after_it_was_due_is_in_time(context: Context) -> None:
    write_ingest(context, UNLABELED, datetime(2026, 11, 30, 2, 20, tzinfo=UTC))

    assert serious(list(ingest_of(context, UNLABELED, [DAILY], NOW))) == []


def test_ingest_that_was_due_and_did_not_end_is_late(context: Context) -> None:
    write_ingest(context, UNLABELED, datetime(2026, 11, 29, 2, 20, tzinfo=UTC))

    (found,) = serious(list(ingest_of(context, UNLABELED, [DAILY], NOW)))

    assert found == (
        "lag: the newest ingest of unlabeled images ended at 2026-11-29 02:20 UTC, but one was due at 2026-11-30 02:00"
        " UTC."
    )


def test_ingest_without_a_recurring_run_is_never_late(context: Context) -> None:
    write_ingest(context, LABELED, NOW - timedelta(days=400))

    assert serious(list(ingest_of(context, LABELED, [], NOW))) == []


def test_scoring_that_stays_behind_ingest_is_late(context: Context) -> None:
    write_ingest(context, UNLABELED, NOW)
    state = ScoringState(models={"digits": ModelState(scored_until=NOW - timedelta(days=3))})
    write_note(context.root, SCORING, state, context.files)

    (found,) = serious(list(check_lag(context)))

    assert found.startswith("lag: images that were ingested until 2026-11-27 18:00 UTC are scored, but an ingest ended")


def test_unfinished_batch_and_old_plan_are_named(context: Context, tmp_path: Path) -> None:
    write_note(context.root, EXPORT, BatchStatus(batch="b-1", destination="/to", finished=False), context.files)
    plan = tmp_path / "lake" / "_plans" / "0123" / "0000000007.parquet"
    plan.parent.mkdir(parents=True)
    plan.write_bytes(b"plan")
    old = (datetime.now(UTC) - timedelta(days=2)).timestamp()
    os.utime(plan, (old, old))

    batch, open_plan = serious(list(check_lag(context)))

    assert batch == "lag: the batch 'b-1' was not exported completely to '/to'."
    assert open_plan.startswith("lag: the ingest with the plan '_plans/0123/0000000007.parquet' of ")


@pytest.mark.parametrize(
    ("seconds", "level"),
    [(0.4, Level.OK), (-59, Level.OK), (75, Level.WARNING), (-899, Level.WARNING), (900, Level.ERROR)],
)
def test_difference_of_clocks_is_a_warning_from_a_minute_and_an_error_from_a_quarter_of_an_hour(
    seconds: float, level: Level
) -> None:
    assert difference("a store", seconds).level is level


class _LateServer(BaseHTTPRequestHandler):
    """A server whose clock is an hour behind, and which refuses access."""

    def do_HEAD(self) -> None:
        self.send_response_only(403)
        self.send_header("Date", f"{datetime.now(UTC) - timedelta(hours=1):%a, %d %b %Y %H:%M:%S} GMT")
        self.end_headers()


@contextmanager
def late_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _LateServer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_clock_of_a_server_that_refuses_access_is_compared() -> None:
    with late_server() as url:
        settings = Settings(mlflow_tracking_uri=url)
        (found,) = check_clocks(Context(settings))

    assert found.level is Level.ERROR
    assert found.what.startswith(f"{url}: its clock is 3")
    assert found.what.endswith(" s behind the clock of this machine.")


def test_server_that_does_not_respond_is_named_in_one_sentence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        (found,) = check_clocks(Context(Settings(mlflow_tracking_uri=url)))

    assert found.what == f"{url}: does not respond (ConnectionError)."


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://s3.amazonaws.com"),
        ({"s3_region": "eu-west-1"}, "https://s3.eu-west-1.amazonaws.com"),
        ({"s3_region": "cn-north-1"}, "https://s3.cn-north-1.amazonaws.com.cn"),
        ({"s3_region": "eu-west-1", "s3_endpoint": "http://store:9000"}, "http://store:9000"),
    ],
)
def test_clock_of_s3_is_that_of_the_region_or_endpoint(settings: dict[str, str], url: str) -> None:
    found = servers(Context(Settings(lake="s3a://bucket/lake", **settings)))  # type: ignore[arg-type]

    assert found == [url]


@pytest.mark.parametrize(
    ("settings", "url"),
    [({}, "https://storage.googleapis.com"), ({"gcs_endpoint": "http://emulator:4443"}, "http://emulator:4443")],
)
def test_clock_of_google_is_that_of_its_store_or_of_an_emulator(settings: dict[str, str], url: str) -> None:
    found = servers(Context(Settings(lake="gs://bucket/lake", unlabeled_source="gs://bucket/new", **settings)))  # type: ignore[arg-type]

    assert found == [url]


def test_held_lock_names_its_holder_and_stays_held(context: Context, tmp_path: Path) -> None:
    with writer_lock(context.root, "images", 0):
        (found,) = check_locks(context)
        with (tmp_path / "lake" / "_locks" / "images.lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert found.level is Level.OK
    assert found.what.startswith("lock: 'images' is held by process ")
    assert [each.what for each in check_locks(context)] == ["lock: nobody holds a lock of the lake."]


def test_unreadable_lock_file_is_not_an_error_of_the_cluster(context: Context, tmp_path: Path) -> None:
    (tmp_path / "lake" / "_locks" / "images.lock").mkdir(parents=True)

    with pytest.raises(IsADirectoryError):
        list(check_locks(context))


def test_lock_is_taken_and_its_file_removed_with_the_option(tmp_path: Path) -> None:
    context = Context(Settings(lake=str(tmp_path / "lake")), write=True)
    assert "does not exist yet" in [each.what for each in check_locks(context)][-1]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "lake" / "_locks").mkdir(parents=True)

    found = [each.what for each in check_locks(context)]

    assert found[-1] == "lock: a lock was taken and released."
    assert list(tmp_path.rglob("*.lock")) == []


def test_lease_that_its_holder_does_not_renew_is_a_warning() -> None:
    alive = HeldLock("images", "pod 'a' since noon", silent_seconds=7, duration_seconds=60)
    silent = HeldLock("images", "pod 'a' since noon", silent_seconds=300, duration_seconds=60)

    assert finding_of(alive).level is Level.OK
    assert finding_of(silent).what.endswith("which has not renewed it for 300 s.")
