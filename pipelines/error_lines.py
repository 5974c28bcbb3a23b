"""Find the error in the log of a failed task."""

import re

from components.task import disk_full_sentence, is_disk_full_text

# The last line of the traceback of an error whose message is for people. Spark may include it in its own traceback.
_ERROR = re.compile(
    r"^\s*(components\.errors\.(InputError|TransientError)|TimeoutError|RuntimeError): (?P<sentence>.+)"
)


def error_sentence(line: str) -> str:
    """Return the message of an error in a line of a log; empty if the line has none."""
    if match := _ERROR.search(line):
        return match["sentence"].strip()
    # Also outside of a step, e.g. where the outputs of a task are written.
    return disk_full_sentence(line.strip()) if is_disk_full_text(line) else ""
