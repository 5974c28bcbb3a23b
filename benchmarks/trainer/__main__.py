"""Answers to `benchmarks.bench.Bench`: `python -m benchmarks.trainer`."""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from benchmarks.process import ANSWER


def main() -> None:
    """Let contenders have their turns: a line of the input is module, arguments and contender as JSON."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    # TensorFlow's import takes seconds: not those of whoever asks first.
    import_module("horovod.tensorflow")
    known = None
    contenders: Mapping[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        *wanted, contender = json.loads(line)
        if wanted != known:
            contenders = {}  # before the next ones need memory
            module, arguments = wanted
            contenders = import_module(f"benchmarks.trainer.{module}").contenders(**arguments)
            known = wanted
        print(ANSWER + json.dumps(contenders[contender]()), flush=True)


if __name__ == "__main__":
    main()
