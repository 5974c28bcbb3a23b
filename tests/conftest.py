"""Fixtures that every tier of tests shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pipelines.demo.folder import SMALL_QUERIES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from components.lake import Lake
    from tests.browser import Browser

REPOSITORY = Path(__file__).parent.parent
TRAINER_PYTHON = REPOSITORY / ".venv" / "trainer" / "bin" / "python"

# A busy machine is no failure.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tests are short: thorough compilation of Spark's code would not pay. Without it, Java reserves 48 MB for compiled
# code, which a session of many tests fills, so that code is thrown out and compiled again. Nor has it to be verified
# each time that Spark's own code is sound.
JAVA_OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC"
    " -XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
# Tasks and ranks that tests start inherit them; the benchmarks and the cluster's tests leave Spark as it is.
os.environ.setdefault("IMAGE_PIPELINES_SPARK_DRIVER_JAVA_OPTIONS", f"{JAVA_OPTIONS} {SMALL_QUERIES}")


@pytest.fixture(scope="session")
def spark() -> Iterator["SparkSession"]:
    """The one Spark session of a test run."""
    from components.lake import spark_session
    from components.settings import Settings

    session = spark_session(Settings.load(spark_master="local[2]"))
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def empty_lake(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a lake that stays empty: making one takes seconds, copying it does not."""
    from components.lake import Lake

    folder = tmp_path_factory.mktemp("empty") / "lake"
    Lake(spark, str(folder)).create()
    return folder


@pytest.fixture
def lake(spark: "SparkSession", empty_lake: Path, tmp_path: Path) -> "Lake":
    """A fresh, empty lake."""
    from components.lake import Lake

    shutil.copytree(empty_lake, tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Browser"]:
    """The one browser of a test run."""
    from tests.browser import running_browser

    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running
