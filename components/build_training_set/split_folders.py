"""Write the folders of the splits in one Spark job."""

from pyspark.sql import DataFrameWriter, SparkSession

from components.storage import uri
from components.training_set.manifest import SplitName

_UNFINISHED = "_unfinished"


def write_split_folders(spark: SparkSession, rows: DataFrameWriter, target: str) -> None:
    """Write rows as Parquet files into one folder per split. Idempotent.

    A single Spark job writes all folders. Spark names them e.g. `split=train`, which Parquet readers take for an
    additional column, so the folders are renamed. Local folders and Azure Data Lake rename a folder in one operation;
    S3 copies its files inside the store.

    Args:
        spark: The session.
        rows: Writer of a frame with the columns of a file and a column `split`.
        target: URI of the parent folder. Folders of an earlier attempt are replaced.

    Raises:
        OSError: A folder could not be renamed.
    """
    unfinished = uri.join(target, _UNFINISHED)
    rows.partitionBy("split").mode("overwrite").parquet(unfinished)
    # Spark's own client of the store sees the new files for sure; another client may not see them yet.
    new_path = spark.sparkContext._jvm.org.apache.hadoop.fs.Path
    store = new_path(target).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    for name in SplitName:
        written = uri.join(unfinished, f"split={name.value}")
        folder = uri.join(target, name.value)
        store.delete(new_path(folder), True)
        if not store.rename(new_path(written), new_path(folder)):
            raise OSError(f"training_set: renaming '{written}' to '{folder}' failed. Run the task again.")
    store.delete(new_path(unfinished), True)
