"""A process of another environment that measures on request."""

import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
# Begins the line that answers a question, among other output of the process.
ANSWER = "measured: "


class AnsweringProcess:
    """A process that reads questions as lines of JSON and answers each of them.

    Args:
        command: The command, which starts in the repository.
        log: File for its error output.
        environment: Its environment variables.
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

    def ask(self, question: Any) -> Any:
        """Return the answer to a question.

        Raises:
            RuntimeError: The process ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # then there is no answer
            print(json.dumps(question), file=self._process.stdin, flush=True)
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                return json.loads(line.removeprefix(ANSWER))
        lines = self._log.read_text().splitlines()
        raise RuntimeError(f"the process ended: {lines[-1] if lines else 'it printed nothing'}")

    def end(self) -> None:
        """Let it end."""
        with suppress(BrokenPipeError):
            self._process.communicate()
