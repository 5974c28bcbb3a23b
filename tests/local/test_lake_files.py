"""Small files in the lake: written whole, and found again."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from components.lake import files


def test_what_was_written_is_read_and_replaces_what_was_there(spark: SparkSession, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/folder/a name.json"

    for text in ("first, and longer", "zweite"):
        files.write_text(spark, uri, text)

    assert files.read_text(spark, uri) == "zweite"
    assert files.list_names(spark, f"file://{tmp_path}/folder") == ["a name.json"]


def test_two_that_write_one_file_at_the_same_time_do_not_break_each_other(spark: SparkSession, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/status.json"

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda text: files.write_text(spark, uri, text), ["one", "two"] * 20))

    assert files.read_text(spark, uri) in {"one", "two"}
    assert files.list_names(spark, f"file://{tmp_path}") == ["status.json"]


def test_a_missing_file_is_told(spark: SparkSession, tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/nothing"

    assert files.status(spark, uri) is None
    assert files.list_names(spark, uri) == []
    assert not files.exists(spark, uri)
    with pytest.raises(FileNotFoundError, match="nothing"):
        files.read_text(spark, uri)
