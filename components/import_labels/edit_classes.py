"""List and change the classes of a lake."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import functions as F

from components.import_labels.class_edits import Classes, Edit, LakeClass
from components.import_labels.undo import decide_again
from components.labeling.counting import is_undone
from components.lake import Lake
from components.lake.class_names import CLASS_NUMBERS
from components.lake.tables import ANNOTATIONS, CLASSES, LABELS, PEOPLE
from components.lake.views import effective_labels
from components.spark.frames import frame

_CHANGED = {name: f"source.{name}" for name in ("name", "replaced_by")}
_ADDED = _CHANGED | {"label": "source.label", "source": f"'{PEOPLE}'"}


@dataclass(frozen=True)
class ListedClass:
    """A class and its use.

    Attributes:
        lake_class: The class.
        source: Who named it first: `folder` or `people`.
        images: Number of images whose effective label it is.
    """

    lake_class: LakeClass
    source: str
    images: int


def list_classes(lake: Lake) -> list[ListedClass]:
    """Return all classes, in the order of their ids. Spark counts the images, without reading their content."""
    classes = lake.classes()
    images = lake.current_images().select("path", "content_sha256", "folder_label")
    labels = effective_labels(images, lake.read(LABELS), classes).where("label IS NOT NULL")
    counts = Counter({row["label"]: row["count"] for row in labels.groupBy("label").count().collect()})
    return [
        ListedClass(LakeClass(row.label, row.name, row.replaced_by), row.source, counts[row.label])
        for row in sorted(classes.rows)
    ]


def edit_classes(lake: Lake, edit: Callable[[Classes], Edit], dry_run: bool = False) -> Edit:
    """Change classes, and decide the labels by people of the classes again. Idempotent.

    Labels of folders need no change, because the views follow `replaced_by`.

    Args:
        lake: The lake.
        edit: Returns the change for the lake's classes.
        dry_run: Whether to write nothing.

    Raises:
        InputError: The change is not possible.
        TimeoutError: Another run imports labels.
    """
    # In the order in which an import takes them.
    with lake.writer("import_labels"), lake.writer(CLASS_NUMBERS):
        classes = _read(lake)
        planned = edit(classes)
        if dry_run:
            return planned
        if planned.changed:
            rows = [(each.label, each.name, each.replaced_by) for each in planned.changed]
            lake.merge(
                CLASSES,
                frame(lake.spark, rows, "label INT, name STRING, replaced_by INT"),
                lambda builder: builder.whenMatchedUpdate(set=_CHANGED).whenNotMatchedInsert(values=_ADDED),
            )
        if planned.moves_images:
            # Also without a change: a command that was killed may have left labels.
            _decide(lake, classes.replaced_through(each.label for each in planned.classes))
        return planned


def _read(lake: Lake) -> Classes:
    return Classes(LakeClass(row.label, row.name, row.replaced_by) for row in lake.classes().rows)


def _decide(lake: Lake, labels: set[int]) -> None:
    """Decide the images again that people gave one of these classes."""
    given = lake.read(ANNOTATIONS).where(F.col("label").isin(sorted(labels)) & ~is_undone())
    images = given.select("path", "content_sha256").distinct().persist(StorageLevel.MEMORY_AND_DISK)
    try:
        if not images.isEmpty():
            decide_again(lake, images)
    finally:
        images.unpersist()
