"""The process that forks Spark's Python workers. It loads TensorFlow once, and the workers share that memory.

It does not use TensorFlow: a fork would lose its threads. Each worker's first operation starts its own.
"""

from pyspark.daemon import manager

from components.spark.tensorflow_threads import limit_tensorflow_threads

if __name__ == "__main__":
    limit_tensorflow_threads()
    import components.preprocessing.preprocess  # noqa: F401 - loads TensorFlow

    manager()
