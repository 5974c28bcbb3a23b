"""The process that forks Spark's Python workers. It loads once what each of them needs, and they share that memory.

It does not use TensorFlow: a fork would lose its threads. Each worker's first operation starts its own.
"""

from importlib import import_module

from pyspark.daemon import manager

from components.spark.tensorflow_threads import limit_tensorflow_threads

if __name__ == "__main__":
    limit_tensorflow_threads()
    # The first loads TensorFlow and Pillow. The others take a second of each worker's start.
    for module in (
        "components.preprocessing.stored_picture",
        "components.storage.stores",
        "pandas",
        "pyarrow.parquet",
        "pyspark.sql.pandas.serializers",
    ):
        import_module(module)
    manager()
