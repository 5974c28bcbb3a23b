"""Run the checks one after the other, each with a time limit."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from components.errors import InputError
from components.settings import Settings
from pipelines.doctor.checks import findings_of, seconds_of
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, of_exception
from pipelines.doctor.names import CheckName


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    Attributes:
        name: Name of the check.
        findings: What it found.
    """

    name: CheckName
    findings: tuple[Finding, ...]


def examine(
    lake: str, make_context: Callable[[Settings], Context], names: Sequence[CheckName] = ()
) -> Iterator[Checked]:
    """Run checks, and yield their results.

    Args:
        lake: Root URI of the lake; empty for the setting.
        make_context: Returns the installation with these settings.
        names: Names of the checks; empty for all.
    """
    try:
        settings = Settings.load(lake=lake)
    except InputError as exception:
        # Every other check needs the settings.
        yield Checked(CheckName.SETTINGS, (of_exception(exception),))
        return
    context = make_context(settings)
    for name in CheckName:
        if not names or name in names:
            found = run_check(partial(findings_of, name, context), seconds_of(name), name)
            yield Checked(name, tuple(found))


def run_check(check: Callable[[], Iterable[Finding]], seconds: float, name: str) -> list[Finding]:
    """Run a check, and return its findings.

    An exception and a missed time limit are findings, too. A check that misses its limit goes on in its thread until
    this process ends.

    Args:
        check: Yields its findings.
        seconds: Time limit, in seconds.
        name: Name of the check, for its log.
    """
    found: list[Finding] = []
    ended = threading.Event()

    def collect() -> None:
        try:
            # One by one: the findings before an exception count.
            for finding in check():
                found.append(finding)
        # A check that fails must not stop the others.
        except Exception as exception:
            found.append(of_exception(exception))
        finally:
            ended.set()

    threading.Thread(target=collect, name=f"doctor-{name}", daemon=True).start()
    if not ended.wait(seconds):
        return [
            *found,
            error(
                f"{name}: this check did not end within {seconds:g} s.",
                "Look at the findings about the same server, check the network, then run this check alone.",
            ),
        ]
    return found
