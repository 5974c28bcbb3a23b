"""How many tasks keep all cores busy."""

from pyspark.sql import SparkSession

# More than one, because some tasks take longer than others.
_TASKS_PER_CORE = 3


def balanced_tasks(spark: SparkSession) -> int:
    """Return a number of tasks that keeps all cores of a session busy until the last ones.

    Spark's number of tasks for a shuffle is fixed, however many cores there are.

    Args:
        spark: The session.
    """
    return _TASKS_PER_CORE * int(spark.sparkContext.defaultParallelism)
