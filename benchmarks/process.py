"""A process of another environment that measures on request."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
# Distinguishes the line with the result from other output of the process.
RESULT_PREFIX = "measured: "


class MeasuringProcess:
    """A process that is called by lines of JSON.

    For each call, it reads a line with the argument and writes a line with the result.

    Args:
        command: Command of the process. It starts in the repository.
        log: File for the process's standard error.
        environment: Environment variables of the process.
    """

    def __init__(self, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        with log.open("a") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=REPOSITORY,
                env=environment,
            )

    def call(self, argument: Any) -> Any:
        """Send an argument to the process, and return its result.

        Raises:
            RuntimeError: The process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # the process ended: there is no result
            print(json.dumps(argument), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(RESULT_PREFIX):
                return json.loads(line.removeprefix(RESULT_PREFIX))
        lines = self._log.read_text().splitlines()
        raise RuntimeError(f"{self._log}: the process ended. Last line: {lines[-1] if lines else 'none'}")

    def close(self) -> None:
        """Close the input of the process, and wait until it ends."""
        with suppress(BrokenPipeError):
            self._process.communicate()
