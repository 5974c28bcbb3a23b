"""A program for tests: registers each candidate that it is told of, as a register_model task would."""

import json
import sys

from components.register_model.register import Candidate, register
from components.settings import Settings


def main() -> None:
    """Read a candidate from each line of standard input, and write what became of it."""
    settings = Settings.load()
    print("ready", flush=True)
    for line in sys.stdin:
        registration = register(settings, Candidate(**json.loads(line)))
        print(json.dumps(vars(registration)), flush=True)


if __name__ == "__main__":
    main()
