"""The number of TensorFlow's threads in a Spark worker."""

import os

from pyspark import TaskContext


def limit_tensorflow_threads() -> None:
    """Give TensorFlow as many threads as this task has cores. Call it before the import of TensorFlow.

    Spark runs one worker per core. With one thread per core in each worker, the workers would compete for the cores.
    """
    task = TaskContext.get()
    threads = str(task.cpus() if task else 1)
    # TensorFlow reads these variables when it is loaded.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
