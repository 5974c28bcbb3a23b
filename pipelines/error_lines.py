"""Find the error in the log of a failed task."""

import re

# The last line of the traceback of an error whose message is for people. Spark may include it in its own traceback.
_ERROR = re.compile(
    r"^\s*(components\.errors\.(InputError|TransientError)|TimeoutError|RuntimeError): (?P<sentence>.+)"
)


def error_sentence(line: str) -> str:
    """Return the message of an error in a line of a log; empty if the line has none."""
    match = _ERROR.search(line)
    return match["sentence"].strip() if match else ""
