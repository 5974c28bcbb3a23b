"""Killed steps lose nothing in any store, e.g. on S3, where only the lock separates the writers."""

import re
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.lake import Lake
from components.settings import Settings
from components.spark.session import spark_session
from tests.support.kills.scenarios import SCENARIOS, Place, score_at_once
from tests.support.lake_stores import LakeStore


@pytest.fixture
def place(
    lake_store: LakeStore,
    spark: SparkSession,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Place:
    environment = {**lake_store.environment, "IMAGE_PIPELINES_LOCK": str(tmp_path / "locks")}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bucket = re.sub("[^a-z]+", "-", request.node.name.removeprefix("test_"))[-40:].strip("-")
    lake_store.make_bucket(bucket)
    settings = Settings.load(lake=f"{lake_store.scheme}://{bucket}/lake")
    lake = Lake.open_or_create(spark_session(settings), settings)
    (tmp_path / "work").mkdir()
    return Place(lake, f"{lake_store.scheme}://{bucket}", tmp_path / "work", environment)


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("step", SCENARIOS)
def test_killed_step_loses_and_duplicates_nothing_when_repeated(step: str, place: Place) -> None:
    SCENARIOS[step](place)


@pytest.mark.slow
def test_concurrent_scoring_tasks_lose_no_commit(place: Place) -> None:
    score_at_once(place)
