"""Fixtures that every tier of tests shares."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from pipelines.demo.folder import SMALL_QUERIES
from tests.support.file_seconds import seconds_of
from tests.support.java_options import LONG_SESSION, SHORT_SESSION
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from components.lake import Lake
    from tests.support.browser import Browser

# On a busy machine, examples of Hypothesis may take long.
settings.register_profile("here", deadline=None)
settings.load_profile("here")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tasks and ranks that tests start inherit them; the benchmarks and the cluster's tests leave Spark as it is.
os.environ.setdefault("IMAGE_PIPELINES_SPARK_DRIVER_JAVA_OPTIONS", f"{SHORT_SESSION} {SMALL_QUERIES}")


class _Failures:
    """Prints each failure at once, so that a run which is stopped has shown it."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._reporter.write_sep("_", f"{report.when} of {report.nodeid}")
            self._reporter.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Show failures while tests run."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        config.pluginmanager.register(_Failures(reporter))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the longest test files first, so that no process of a parallel run starts one at the end."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: -seconds_of(str(item.path.relative_to(REPOSITORY))))


@pytest.fixture(scope="session")
def spark() -> Iterator["SparkSession"]:
    """The one Spark session of a test run."""
    from components.settings import Settings
    from components.spark.session import spark_session

    options = f"{LONG_SESSION} {SMALL_QUERIES}"
    session = spark_session(Settings.load(spark_master="local[2]", spark_driver_java_options=options))
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def empty_lake(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an empty lake for copies, because creating a lake takes seconds."""
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
    from tests.support.browser import running_browser

    with running_browser(tmp_path_factory.mktemp("browser")) as running:
        yield running
