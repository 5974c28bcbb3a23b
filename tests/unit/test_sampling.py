"""Test the samples of processes."""

import os
import subprocess
import sys
import time

from tests.support.sampling import processor_seconds

# It then waits for the end of its input.
_BUSY = "import sys, time\nwhile time.process_time() < 0.7: pass\nprint(flush=True)\nsys.stdin.read()"


def of_children() -> float:
    """Return the processor time of the children of this process, in seconds."""
    return processor_seconds(os.getpid()) - time.process_time()


def test_processor_time_includes_that_of_running_and_ended_children() -> None:
    before = of_children()
    command = [sys.executable, "-c", _BUSY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        running = of_children() - before
    ended = of_children() - before

    assert running > 0.5
    assert ended > 0.5
