"""The sign of life of the task that watches a training, for ranks that would train on for nobody.

A task that is killed or terminated can't end its job any more. So it renews an object beside the checkpoints, and
rank 0 looks at it. How long ago it was renewed is measured by rank 0's own clock, from the moment that it saw another
content: no two clocks are compared. From the last sign of life to the end of the job it takes at most twice the
timeout: one until it is missed, half of one to end an epoch and keep its checkpoint, and what looking itself takes.
"""

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from components.errors import InputError
from components.storage import files, uri

logger = logging.getLogger(__name__)

HEARTBEAT_FILE = "heartbeat"

_EXIT_CODE = 1
# Parts of the timeout: between two renewals, between two looks, and to end the epoch after it.
_RENEWAL = 1 / 8
_LOOK = 1 / 8
_GRACE = 1 / 2


@contextmanager
def renewed(run_directory: str, timeout_seconds: float) -> Iterator[None]:
    """Renew a training's heartbeat as long as the block runs.

    Args:
        run_directory: URI of the training's folder.
        timeout_seconds: After how long without it the ranks end.
    """
    file = uri.join(run_directory, HEARTBEAT_FILE)
    files.write_text(file, _new_content())
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(timeout_seconds * _RENEWAL):
            try:
                files.write_text(file, _new_content())
            except (OSError, InputError) as error:
                logger.warning("the training's heartbeat could not be renewed: %s", error)

    thread = threading.Thread(target=renew, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class HeartbeatWatch:
    """Looks at the heartbeat, in a thread of its own: a step or a download may take longer than it may be missing.

    Args:
        run_directory: URI of the training's folder.
        timeout_seconds: After how long without it the training ends.
    """

    def __init__(self, run_directory: str, timeout_seconds: float) -> None:
        self._file = uri.join(run_directory, HEARTBEAT_FILE)
        self._timeout = timeout_seconds
        self._content = ""
        self._seen = time.monotonic()
        threading.Thread(target=self._look_for_ever, name="heartbeat", daemon=True).start()

    def check(self) -> None:
        """Return if the heartbeat is there. Called when a checkpoint has been kept.

        Raises:
            RuntimeError: It is missing.
        """
        if self._missing_seconds > self._timeout:
            raise RuntimeError(self._sentence)

    @property
    def _missing_seconds(self) -> float:
        return time.monotonic() - self._seen

    @property
    def _sentence(self) -> str:
        return (
            f"the task that watches this training has given no sign of life for {self._timeout:g} s: it was killed or"
            " terminated. The training ends, and the next start goes on from its last checkpoint."
        )

    def _look_for_ever(self) -> None:
        while self._missing_seconds <= self._timeout * (1 + _GRACE):
            time.sleep(self._timeout * _LOOK)
            self._look()
        # The main thread may be anywhere: in a step, in a download, in a wait for a rank that is gone. Checkpoints are
        # written whole or not at all, so that this is as good a moment as any.
        print(self._sentence, flush=True)
        os._exit(_EXIT_CODE)

    def _look(self) -> None:
        try:
            content = files.read_text(self._file)
        except FileNotFoundError:
            return
        except (OSError, InputError) as error:
            # While the store is away, the task can't renew it either.
            logger.warning("the training's heartbeat could not be read: %s", error)
            self._seen = time.monotonic()
            return
        if content != self._content:
            self._content = content
            self._seen = time.monotonic()


def _new_content() -> str:
    return uuid.uuid4().hex
