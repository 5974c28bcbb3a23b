"""The trainer process of `benchmarks.bench.Bench`: `python -m benchmarks.trainer`."""

import json
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from benchmarks.process import RESULT_PREFIX


def main() -> None:
    """Run a contender for each line of the input.

    A line is a JSON list of the module, its arguments and the contender's name.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Before the first call, because importing TensorFlow takes seconds.
    import_module("horovod.tensorflow")
    loaded = None
    contenders: Mapping[str, Callable[[], Any]] = {}
    for line in sys.stdin:
        *requested, contender = json.loads(line)
        if requested != loaded:
            contenders = {}  # frees memory for the next ones
            module, arguments = requested
            contenders = import_module(f"benchmarks.trainer.{module}").contenders(**arguments)
            loaded = requested
        print(RESULT_PREFIX + json.dumps(contenders[contender]()), flush=True)


if __name__ == "__main__":
    main()
