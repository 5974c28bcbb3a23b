"""An ingest task whose JVM is killed midway, as a process.

Run in the repository's root as: python -m tests.support.kills.killed_jvm SOURCE LAKE REPORT. It prints what the task
returns.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from kfp import dsl
from pyspark import SparkContext
from tenacity import wait_none

from components import task
from components.ingest_images.component import ingest_images


def kill_when_there_is(path: Path) -> None:
    """Kill the JVM as soon as a file or folder exists."""
    while not path.exists():
        time.sleep(0.01)
    os.kill(SparkContext._gateway.proc.pid, signal.SIGKILL)


if __name__ == "__main__":
    source, lake, report = sys.argv[1:]
    task.PAUSE = wait_none()
    # By then ingest has planned its batch and committed nothing.
    plans = Path(lake, "_plans")
    threading.Thread(target=kill_when_there_is, args=(plans,), daemon=True).start()
    print("outputs", *ingest_images.python_func(dsl.HTML(uri=report), source, lake))
