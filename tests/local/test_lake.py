"""The lake itself: what holds for every step that writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pyspark.sql import SparkSession

from components.errors import InputError
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake

_NOBODY = 65534


@contextmanager
def read_only_lake(spark: SparkSession) -> Iterator[Lake]:
    """Yield a lake in a folder that can't be written to, whose locks are elsewhere."""
    with TemporaryDirectory() as root, TemporaryDirectory() as locks:
        Path(root).chmod(0o555)
        Path(locks).chmod(0o777)
        me = os.geteuid()
        try:
            if me == 0:
                # To whom everything is allowed.
                os.seteuid(_NOBODY)
            yield Lake(spark, root, locks)
        finally:
            os.seteuid(me)
            Path(root).chmod(0o755)


def test_a_lake_that_can_not_be_written_is_named_wherever_its_locks_are(spark: SparkSession) -> None:
    with (
        read_only_lake(spark) as lake,
        pytest.raises(InputError, match=rf"^lake: '{lake.root}' can't be written \(Permission denied\)"),
        lake.writer("images"),
    ):
        pass


def test_a_read_only_lake_ends_ingest_before_anything_is_written(spark: SparkSession) -> None:
    with TemporaryDirectory() as landing:
        Path(landing, "a.jpg").write_bytes(b"")
        Path(landing).chmod(0o755)
        with read_only_lake(spark) as lake:
            with pytest.raises(InputError, match=rf"^lake: '{lake.root}' can't be written \(Permission denied\)"):
                ingest_folder(lake, Path(landing).as_uri(), "*.jpg", None)
            # The JVM is not held off from it.
            assert list(Path(lake.root.removeprefix("file://")).iterdir()) == []
