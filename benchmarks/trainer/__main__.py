"""Answers to `benchmarks.bench.TrainerProcess`: `python -m benchmarks.trainer MODULE ARGUMENTS`."""

import json
import sys
import warnings
from importlib import import_module

from benchmarks.bench import ANSWER


def main() -> None:
    """Measure each contender that a line of the input names, as often as it comes."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    contenders = import_module(f"benchmarks.trainer.{sys.argv[1]}").contenders(**json.loads(sys.argv[2]))
    for line in sys.stdin:
        print(ANSWER + json.dumps(contenders[line.strip()]()), flush=True)


if __name__ == "__main__":
    main()
