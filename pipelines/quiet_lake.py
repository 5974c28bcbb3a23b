"""Open a lake for a command that prints its own output."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from components.lake import Lake
from components.settings import Settings
from components.spark.session import spark_session
from components.storage import uri
from components.storage.files import Files


@contextmanager
def quiet_lake(settings: Settings) -> Iterator[Lake]:
    """Start Spark without log messages, and yield the lake of the settings, which need not exist.

    Raises:
        InputError: The settings name no lake, or its store refuses access.
    """
    # Before Spark's start, which takes seconds.
    Files.of(settings).check(uri.normalize(settings.required("lake"), "lake"))
    with _hidden_output():
        spark = spark_session(settings, workers_decode=False)
    try:
        yield Lake.at(spark, settings)
    finally:
        spark.stop()


@contextmanager
def _hidden_output() -> Iterator[None]:
    """Hide the error output of a JVM that starts in this block, until the JVM ends.

    If the block fails, print the output.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            yield
        except BaseException:
            output.seek(0)
            os.write(terminal, output.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
