"""The view `image_data`: each image with its best label and its newest prediction."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def image_data(images: DataFrame, classes: DataFrame, labels: DataFrame, predictions: DataFrame) -> DataFrame:
    """Join the narrow tables to the columns that the reference system keeps in one wide table.

    A person's label beats the folder's, a class that was replaced gives way to its successor, and the newest
    prediction that is not an error wins.

    Returns:
        Frame of path, modificationTime, length, content, label, load_date, predicted_label, predicted_score (0..1)
        and model_version.
    """
    newest = Window.partitionBy("path").orderBy(F.desc("scored_at"), F.desc("model_version"))
    predicted = (
        predictions.where("error IS NULL")
        .withColumn("_rank", F.row_number().over(newest))
        .where("_rank = 1")
        .select("path", "predicted_label", "predicted_score", "model_version")
    )
    replaced = classes.where("replaced_by IS NOT NULL").select(F.col("label").alias("_old"), "replaced_by")
    by_people = labels.select("path", F.col("label").alias("_person"))
    return (
        images.join(by_people, "path", "left")
        .withColumn("_label", F.coalesce("_person", "label"))
        .join(F.broadcast(replaced), F.col("_label") == F.col("_old"), "left")
        .withColumn("label", F.coalesce("replaced_by", "_label"))
        .join(predicted, "path", "left")
        .select(
            "path",
            "modificationTime",
            "length",
            "content",
            "label",
            "load_date",
            "predicted_label",
            "predicted_score",
            "model_version",
        )
    )
