"""The examples in documents that need a lake run: in SQL, and on the command line."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.lake import Lake
from pipelines.query.lake_query import query
from tests.support.documents import DOCUMENTS, Block, blocks
from tests.support.earlier_lake import unpack_lake_of_0_1_0
from tests.support.paths import REPOSITORY

# tests/slow/test_getting_started.py runs the commands of this document as a sequence.
SEQUENCES = {"getting-started.md"}


def examples(language: str) -> list[Block]:
    return [
        block
        for document in DOCUMENTS
        if document.name not in SEQUENCES
        for block in blocks(document)
        if block.language == language and not block.not_run
    ]


@pytest.fixture(scope="module")
def filled_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = unpack_lake_of_0_1_0(tmp_path_factory.mktemp("filled")).lake
    Lake(spark, str(folder)).update()
    return folder


@pytest.mark.parametrize("example", examples("sql"), ids=str)
def test_each_example_in_sql_has_a_result(example: Block, spark: SparkSession, filled_lake: Path) -> None:
    rows: Iterator[tuple[str | None, ...]] = query(Lake(spark, str(filled_lake)), example.text).rows

    assert list(rows)


@pytest.mark.parametrize(
    "example",
    [
        # Each command starts Spark.
        pytest.param(each, marks=pytest.mark.slow if each.text.count("image-pipelines ") > 1 else ())
        for each in examples("sh")
    ],
    ids=str,
)
def test_each_command_on_a_lake_runs(example: Block, filled_lake: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "IMAGE_PIPELINES_LAKE": str(filled_lake),
        "PATH": f"{REPOSITORY / '.venv' / 'spark' / 'bin'}:{os.environ['PATH']}",
    }

    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example.text],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout + finished.stderr
