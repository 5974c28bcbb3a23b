"""Names, keys and schemas of the lake's tables. All times are UTC."""

from dataclasses import dataclass

from pyspark.sql.types import StructType

# Values of `files.state`.
IMAGE = "image"
QUARANTINED = "quarantine"
FORGOTTEN = "forgotten"

# Values of `classes.source`: who named a class first.
FOLDER = "folder"
PEOPLE = "people"

# Class ids of folders are smaller; ids of classes that people name are not.
FOLDER_LABELS_END = 1_000_000_000

# Value of `classes.replaced_by` of a retired class: its images have no label. No class has a negative id.
NO_CLASS = -1

# Start of `annotations.content_sha256` of an annotation that was taken back. The hash follows. Such a row equals no
# content, so it does not count, and it prevents that an import adds the annotation again.
UNDONE = "undone:"

# Value of `predictions.model_digest` in rows of release 0.1.0, which recorded only the model's name and version.
UNRECORDED = "unrecorded"


@dataclass(frozen=True)
class Table:
    """A Delta table of the lake.

    Attributes:
        name: Folder below the lake's root, and name in SQL.
        columns: Schema as DDL.
        key: Columns that identify a row.
        partition: Column by which the table is partitioned; empty for none.
        cluster: Column by which the table is clustered; empty for none.
    """

    name: str
    columns: str
    key: tuple[str, ...]
    partition: str = ""
    cluster: str = ""

    @property
    def schema(self) -> StructType:
        """The schema, as Spark's type."""
        return StructType.fromDDL(self.columns)


FILES = Table(
    "files",
    """path STRING NOT NULL, source STRING, length BIGINT, modificationTime TIMESTAMP, etag STRING,
    source_sha256 STRING, content_sha256 STRING, state STRING NOT NULL, reason STRING, folder_label INT,
    load_date DATE, ingested_at TIMESTAMP""",
    ("path",),
    cluster="path",
)
IMAGES = Table(
    "images",
    """path STRING NOT NULL, content_sha256 STRING, content BINARY, source_sha256 STRING, length BIGINT,
    modificationTime TIMESTAMP, format STRING, reason STRING, batch STRING NOT NULL, load_date DATE NOT NULL,
    ingested_at TIMESTAMP""",
    ("path", "content_sha256"),
    partition="load_date",
)
CLASSES = Table("classes", "label INT NOT NULL, name STRING, replaced_by INT, source STRING NOT NULL", ("label",))
ANNOTATIONS = Table(
    "annotations",
    """service STRING NOT NULL, annotation_id STRING NOT NULL, path STRING, content_sha256 STRING NOT NULL,
    label INT, annotator STRING, annotated_at TIMESTAMP, batch STRING""",
    ("service", "annotation_id"),
)
LABELS = Table(
    "labels",
    "path STRING NOT NULL, content_sha256 STRING NOT NULL, label INT, source STRING, labeled_at TIMESTAMP",
    ("path", "content_sha256"),
)
PREDICTIONS = Table(
    "predictions",
    """path STRING NOT NULL, content_sha256 STRING NOT NULL, model_digest STRING NOT NULL, model_name STRING,
    model_version STRING, predicted_label INT, predicted_score FLOAT, margin FLOAT, entropy FLOAT,
    scored_at TIMESTAMP, error STRING""",
    ("path", "content_sha256", "model_digest"),
    partition="model_digest",
)
PROMOTIONS = Table(
    "promotions",
    "model_name STRING NOT NULL, model_digest STRING NOT NULL, model_version STRING, since TIMESTAMP, reason STRING",
    ("model_name", "model_digest", "since"),
)
LABELING_REQUESTS = Table(
    "labeling_requests",
    """path STRING NOT NULL, content_sha256 STRING NOT NULL, batch STRING NOT NULL, service STRING, reason STRING,
    model_name STRING, model_version STRING, predicted_label INT, predicted_score FLOAT, requested_at TIMESTAMP,
    outcome STRING, completed_at TIMESTAMP""",
    ("path", "content_sha256", "batch"),
)
SEGMENTS = Table(
    "segments",
    """name STRING NOT NULL, split STRING NOT NULL, row_groups ARRAY<INT>, rows BIGINT, bytes BIGINT,
    replaced_by STRING, made_at TIMESTAMP""",
    ("name",),
)
EVALUATIONS = Table(
    "evaluations",
    """content_sha256 STRING NOT NULL, model_digest STRING NOT NULL, predicted_label INT, predicted_score FLOAT,
    error STRING, evaluated_at TIMESTAMP""",
    ("content_sha256", "model_digest"),
    partition="model_digest",
)
GROUPS = Table(
    "groups",
    """content_sha256 STRING NOT NULL, perceptual_hash BIGINT, split STRING, reason STRING, made_at TIMESTAMP""",
    ("content_sha256",),
)
FORGOTTEN_CONTENTS = Table(
    "forgotten_contents",
    "source_sha256 STRING NOT NULL, content_sha256 STRING, forgotten_at TIMESTAMP",
    ("source_sha256",),
)

TABLES = (
    FILES,
    IMAGES,
    CLASSES,
    ANNOTATIONS,
    LABELS,
    PREDICTIONS,
    PROMOTIONS,
    LABELING_REQUESTS,
    SEGMENTS,
    EVALUATIONS,
    GROUPS,
    FORGOTTEN_CONTENTS,
)
