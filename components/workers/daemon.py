"""The process that forks Spark's Python workers, with TensorFlow in it: loaded once, and held in memory once.

It is loaded and not used: its threads, which a fork would lose, are started by each worker's first operation.
"""

from pyspark.daemon import manager

from components.workers.threads import limit_tensorflow_threads

if __name__ == "__main__":
    limit_tensorflow_threads()
    import components.images.preprocess  # noqa: F401 - loads TensorFlow

    manager()
