"""The lake's tables: names, keys and schemas, in one place. All times are UTC."""

from dataclasses import dataclass

from pyspark.sql.types import StructType


@dataclass(frozen=True)
class Table:
    """A Delta table of the lake.

    Attributes:
        name: Folder under the lake's root, and name in SQL.
        columns: Schema as DDL.
        key: Columns that identify a row.
    """

    name: str
    columns: str
    key: tuple[str, ...]

    @property
    def schema(self) -> StructType:
        """The schema, as Spark's type."""
        return StructType.fromDDL(self.columns)


IMAGES = Table(
    "images",
    """path STRING NOT NULL, modificationTime TIMESTAMP, length BIGINT, content BINARY, content_sha256 STRING,
    label INT, load_date DATE, ingested_at TIMESTAMP""",
    ("path",),
)
QUARANTINE = Table(
    "quarantine",
    """path STRING NOT NULL, modificationTime TIMESTAMP, length BIGINT, content_sha256 STRING, reason STRING,
    load_date DATE""",
    ("path", "content_sha256"),
)
CLASSES = Table("classes", "label INT NOT NULL, name STRING, replaced_by INT", ("label",))
ANNOTATIONS = Table(
    "annotations",
    """service STRING NOT NULL, annotation_id STRING NOT NULL, path STRING, label INT, annotator STRING,
    annotated_at TIMESTAMP, batch STRING""",
    ("service", "annotation_id"),
)
LABELS = Table("labels", "path STRING NOT NULL, label INT, source STRING, labeled_at TIMESTAMP", ("path",))
PREDICTIONS = Table(
    "predictions",
    """path STRING NOT NULL, model_name STRING, model_version STRING NOT NULL, predicted_label INT,
    predicted_score FLOAT, margin FLOAT, entropy FLOAT, scored_at TIMESTAMP, error STRING""",
    ("path", "model_version"),
)
LABELING_REQUESTS = Table(
    "labeling_requests",
    """path STRING NOT NULL, batch STRING NOT NULL, service STRING, reason STRING, model_version STRING,
    predicted_label INT, predicted_score FLOAT, requested_at TIMESTAMP, outcome STRING, completed_at TIMESTAMP""",
    ("path", "batch"),
)

TABLES = (IMAGES, QUARANTINE, CLASSES, ANNOTATIONS, LABELS, PREDICTIONS, LABELING_REQUESTS)
