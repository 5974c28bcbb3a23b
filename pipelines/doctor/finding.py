"""Findings of the checks."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from components.errors import InputError, TransientError
from components.task import describe
from components.transient import is_transient

logger = logging.getLogger(__name__)

# The end of the first sentence. A remedy begins with a capital letter.
_END_OF_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")
_PARAMETERS = "source|destination|lake|archive|queue"


class Level(StrEnum):
    """How serious a finding is.

    Attributes:
        OK: Nothing to do.
        WARNING: The pipelines run, but something needs attention, or could not be checked.
        ERROR: A pipeline fails, or works on wrong data.
    """

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        level: How serious it is.
        what: What is wrong, or what was checked: one sentence.
        remedy: What to do; empty if there is nothing to do.
    """

    level: Level
    what: str
    remedy: str = ""


def ok(what: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(Level.OK, what)


def warning(what: str, remedy: str) -> Finding:
    """Return a finding that needs attention."""
    return Finding(Level.WARNING, what, remedy)


def error(what: str, remedy: str) -> Finding:
    """Return a finding about a cause of failed runs or wrong data."""
    return Finding(Level.ERROR, what, remedy)


def of_sentences(sentences: str, level: Level = Level.ERROR) -> Finding:
    """Return an error message as a finding: its first sentence, and the remedy.

    Args:
        sentences: One or more sentences.
        level: How serious it is.
    """
    what, *remedy = _END_OF_SENTENCE.split(sentences, maxsplit=1)
    return Finding(level, what, "".join(remedy))


def of_exception(exception: BaseException, field: str = "") -> Finding:
    """Return the finding of an exception.

    Args:
        exception: The exception.
        field: Setting or parameter that the check is about. It replaces the parameter in the message of a step, e.g.
            `source`, and is not repeated.
    """
    if isinstance(exception, InputError | TransientError | TimeoutError) and str(exception):
        sentences = str(exception)
        if field:
            sentences = f"{field}: {re.sub(f'^({re.escape(field)}|{_PARAMETERS}): ', '', sentences)}"
        return of_sentences(sentences)
    what = describe(exception) if not field else f"{field}: {describe(exception)}"
    if isinstance(exception, PermissionError):
        return error(f"{what.rstrip('.')}.", "Grant the permission to the account of this process.")
    if is_transient(exception):
        return error(f"{what.rstrip('.')}.", "Check that the server is up and reachable, then run the doctor again.")
    logger.error("a check failed", exc_info=exception)
    return error(f"{what.rstrip('.')}.", "This check failed unexpectedly. The error output has the trace.")


def guarded(check: Callable[[], Iterable[Finding]], field: str = "") -> Iterator[Finding]:
    """Yield the findings of a part of a check, and its exception as a finding.

    So the other parts go on after a failure.

    Args:
        check: The part.
        field: Setting or parameter that it is about.
    """
    try:
        yield from check()
    # A part that fails must not stop the others.
    except Exception as exception:
        yield of_exception(exception, field)
