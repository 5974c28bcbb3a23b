"""The heartbeat of the task that watches a training.

A task that is killed can't delete its MPIJob. So the task renews a file next to the checkpoints, rank 0 polls the file,
and the training stops if the renewals stop. Rank 0 measures the time since the file's content last changed with its own
clock, so clocks of different machines are never compared. The job ends at most two timeouts after the last renewal:
after one timeout until the heartbeat counts as missing, half a timeout to complete an epoch and write its checkpoint,
and the interval of the polls.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import InputError, TransientError
from components.storage import uri
from components.storage.files import Files

logger = logging.getLogger(__name__)

HEARTBEAT_FILE = "heartbeat"

_EXIT_CODE = 1
# As fractions of the timeout. The grace period is the time to complete an epoch after the timeout.
_RENEWAL_INTERVAL = 1 / 8
_POLL_INTERVAL = 1 / 8
_GRACE_PERIOD = 1 / 2


@contextmanager
def renew_heartbeat(run_directory: str, timeout_seconds: float, files: Files) -> Iterator[None]:
    """Renew a training's heartbeat while the block runs.

    Args:
        run_directory: URI of the training's folder.
        timeout_seconds: Age of the heartbeat, in seconds, at which the ranks stop.
        files: Access to the training's folder.
    """
    file = uri.join(run_directory, HEARTBEAT_FILE)
    files.write_text(file, _new_content())
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(timeout_seconds * _RENEWAL_INTERVAL):
            try:
                files.write_text(file, _new_content())
            except (OSError, InputError, TransientError) as error:
                logger.warning("could not renew the training's heartbeat: %s", error)

    thread = threading.Thread(target=renew, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class HeartbeatWatch:
    """A thread that polls the heartbeat, and ends the process if it is missing.

    The main thread can't poll, because a step or a download may take longer than the timeout.

    Args:
        run_directory: URI of the training's folder.
        timeout_seconds: Age of the heartbeat, in seconds, at which the training stops.
        files: Access to the training's folder.
    """

    def __init__(self, run_directory: str, timeout_seconds: float, files: Files) -> None:
        self._file = uri.join(run_directory, HEARTBEAT_FILE)
        self._timeout = timeout_seconds
        self._files = files
        self._content = ""
        self._changed_at = time.monotonic()
        threading.Thread(target=self._poll_until_missing, name="heartbeat", daemon=True).start()

    def check(self) -> None:
        """Raise an error if the heartbeat is missing.

        The worker calls this after each checkpoint.

        Raises:
            RuntimeError: The heartbeat is missing.
        """
        if self._missing_seconds > self._timeout:
            raise RuntimeError(self._reason)

    @property
    def _missing_seconds(self) -> float:
        return time.monotonic() - self._changed_at

    @property
    def _reason(self) -> str:
        return (
            f"the task that watches this training has sent no heartbeat for {self._timeout:g} s: it was killed or"
            " terminated. The training stops here. Its next start resumes from the last checkpoint."
        )

    def _poll_until_missing(self) -> None:
        while self._missing_seconds <= self._timeout * (1 + _GRACE_PERIOD):
            time.sleep(self._timeout * _POLL_INTERVAL)
            self._poll()
        # The main thread may be in a step, in a download, or waiting for a lost rank. Checkpoints are written
        # atomically, so the process can exit at any moment.
        print(self._reason, flush=True)
        os._exit(_EXIT_CODE)

    def _poll(self) -> None:
        try:
            content = self._files.read_text(self._file)
        except FileNotFoundError:
            return
        except (OSError, InputError, TransientError) as error:
            # While the store is unavailable, the task can't renew the heartbeat either.
            logger.warning("could not read the training's heartbeat: %s", error)
            self._changed_at = time.monotonic()
            return
        if content != self._content:
            self._content = content
            self._changed_at = time.monotonic()


def _new_content() -> str:
    return uuid.uuid4().hex
