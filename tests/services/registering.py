"""A program for tests that registers candidates like the task register_model."""

import json
import sys
from contextlib import redirect_stdout

from components.register_model.register import Candidate, register
from components.settings import Settings


def main() -> None:
    """Read a candidate from each line of standard input, and print its registration."""
    settings = Settings.load()
    print("ready", flush=True)
    for line in sys.stdin:
        # While it waits for the lock, `register` prints progress lines.
        with redirect_stdout(sys.stderr):
            registration = register(settings, Candidate(**json.loads(line)))
        print(json.dumps(vars(registration)), flush=True)


if __name__ == "__main__":
    main()
