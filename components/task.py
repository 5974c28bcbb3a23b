"""The step of a KFP task: retried after transient errors, with the message of a failure in the pod's status.

Kubeflow Pipelines does not retry a task that fails by itself, and shows only what Kubernetes reports about its pod.
"""

import errno
import logging
import os
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_exponential
from tenacity.wait import wait_base

from components.errors import InputError, TransientError
from components.transient import causes, error_text, is_transient

TRIES = 3
# Pauses of 10 s and 40 s. During each try, the clients of stores and servers retry for 30 s or longer.
PAUSE: wait_base = wait_exponential(multiplier=10, exp_base=4, max=60)

# Kubernetes creates this file in every container and copies its end into the pod's status.
TERMINATION_LOG = Path("/dev/termination-log")
TERMINATION_LOG_BYTES = 4096

# Messages of the C library, which errors of Python and Java contain.
_NO_SPACE = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
# Spark passes on the errors of Python workers as text.
_SENTENCE = re.compile(r"components\.errors\.(?:InputError|TransientError): (.+)")
_JAVA_CAUSE = re.compile(r"^Caused by: (.+)", re.MULTILINE)

Outputs = TypeVar("Outputs")

logger = logging.getLogger(__name__)


def run_task(step: Callable[[], Outputs]) -> Outputs:
    """Run a step, retry it after transient errors, and return its outputs.

    There are at most three tries. A failure leaves its message in the pod's termination log.

    Args:
        step: A function that can run again in the same process after a failure.

    Raises:
        InputError: The step raised it, or the disk is full. There is no retry.
        TransientError: Each try failed with a transient error.
        Exception: The step raised another error. There is no retry.
    """
    retrying = Retrying(
        # A full disk can break connections of Spark, too.
        retry=retry_if_exception(lambda error: is_transient(error) and not is_disk_full(error)),
        stop=stop_after_attempt(TRIES),
        wait=PAUSE,
        before_sleep=_log_retry,
        reraise=True,
    )
    try:
        return retrying(step)
    except Exception as error:
        sentence = describe(error)
        if is_disk_full(error):
            sentence = disk_full_sentence(sentence)
            write_termination_log(sentence)
            raise InputError(sentence) from error
        if not is_transient(error):
            write_termination_log(sentence)
            raise
        sentence = f"{sentence.rstrip('.')}. {TRIES} tries failed. Run this step again when the cause is gone."
        write_termination_log(sentence)
        raise TransientError(sentence) from error


def describe(error: BaseException) -> str:
    """Return an error in one line.

    The line of an InputError or a TransientError is its message. The line of another error is its type and the first
    line of its message. If it is an exception of Java with causes, the first cause follows, i.e. the last one in its
    trace.
    """
    if isinstance(error, InputError | TransientError):
        return str(error)
    last = "".join(traceback.format_exception_only(error)).strip()
    if match := _SENTENCE.search(last):
        return match[1].strip()
    lines = last.splitlines()
    java = _JAVA_CAUSE.findall(last)
    return f"{lines[0].rstrip('.')}, because of {java[-1].strip()}" if java else lines[0]


def is_disk_full(error: BaseException) -> bool:
    """Return whether an error or one of its causes reports a full disk."""
    return any(is_disk_full_text(error_text(cause)) for cause in causes(error))


def is_disk_full_text(text: str) -> bool:
    """Return whether a message of Python or Java reports a full disk, or an exhausted quota."""
    return any(message in text for message in _NO_SPACE)


def disk_full_sentence(cause: str) -> str:
    """Return the message of an error that a full disk caused.

    Args:
        cause: The error in one line.
    """
    return f"disk: no space is left ({cause}). Free some space, then run this step again."


def write_termination_log(sentence: str) -> None:
    """Write a message to the termination log, which Kubernetes copies into the pod's status.

    Outside of Kubernetes the file does not exist, and is not created.

    Args:
        sentence: The message. It is cut after 4096 bytes, because Kubernetes would keep the last 4096.
    """
    content = sentence.encode(errors="replace")[:TERMINATION_LOG_BYTES]
    try:
        with TERMINATION_LOG.open("r+b") as file:
            file.truncate()
            file.write(content.decode(errors="ignore").encode())
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            logger.warning("the termination log can't be written: %s", error)


def _log_retry(state: RetryCallState) -> None:
    assert state.outcome is not None
    assert state.next_action is not None
    error = state.outcome.exception()
    assert error is not None
    logger.warning(
        "Try %d of %d failed, the next one starts in %.0f s: %s",
        state.attempt_number, TRIES, state.next_action.sleep, describe(error),
    )  # fmt: skip
