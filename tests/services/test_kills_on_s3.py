"""Nothing lost on S3 either: whose writers are kept apart by the lock alone."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.lake import Lake, spark_session
from components.settings import Settings
from tests.local.kill_scenarios import SCENARIOS, Place, score_at_once
from tests.services.servers import S3Server


@pytest.fixture
def place(
    s3: S3Server, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Place:
    environment = {**s3.environment, "IMAGE_PIPELINES_LOCK": str(tmp_path / "locks")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[-40:].strip("-")
    s3.make_bucket(bucket)
    settings = Settings.load(lake=f"s3a://{bucket}/lake")
    lake = Lake.open(spark_session(settings), settings)
    (tmp_path / "work").mkdir()
    return Place(lake, f"s3a://{bucket}", tmp_path / "work", environment)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("step", SCENARIOS)
def test_a_step_that_is_killed_and_run_again_loses_and_doubles_nothing(step: str, place: Place) -> None:
    SCENARIOS[step](place)


def test_two_tasks_that_score_at_once_lose_no_commit(place: Place) -> None:
    score_at_once(place)
