"""How many threads TensorFlow has in a Spark worker."""

import os

from pyspark import TaskContext


def limit_tensorflow_threads() -> None:
    """Give TensorFlow as many threads as this task has cores. Call it before TensorFlow is imported.

    There is a worker for each core: with a thread for each core in each worker, they would wait for one another.
    """
    task = TaskContext.get()
    threads = str(task.cpus() if task else 1)
    # TensorFlow reads them when it starts.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
