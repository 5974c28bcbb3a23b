"""The lake itself: what holds for every step that writes."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pyspark.sql import SparkSession

from components.errors import InputError
from components.lake import Lake

_NOBODY = 65534


def test_a_lake_that_can_not_be_written_is_named_wherever_its_locks_are(spark: SparkSession) -> None:
    with TemporaryDirectory() as root, TemporaryDirectory() as locks:
        Path(root).chmod(0o555)
        Path(locks).chmod(0o777)
        me = os.geteuid()
        try:
            if me == 0:
                # To whom everything is allowed.
                os.seteuid(_NOBODY)
            with (
                pytest.raises(InputError, match=rf"^lake: 'file://{root}' can't be written \(Permission denied\)"),
                Lake(spark, root, locks).writer("images"),
            ):
                pass
        finally:
            os.seteuid(me)
            Path(root).chmod(0o755)
