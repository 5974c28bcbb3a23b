"""The file formats of annotations. A row that can't be read is rejected with its place; other rows are imported.

CSV with a header and JSON lines have these columns:

- `path`: the image, spelled as in the manifest of the export.
- `label` (class id) or `name` of the class. Both are empty if the person skipped the image.
- Optional: `annotator`, `annotated_at` (ISO 8601, UTC unless it names a time zone), `annotation_id`, `service` and
  `batch`.

Other columns are ignored.

The COCO, JSON lines and CSV exports of Azure Machine Learning's labeling are supported too. They identify an image by
the URL of its copy, and the class by its name.
"""

from collections.abc import Callable, Iterator

from pydantic import ValidationError

from components.labeling.formats import coco, comma_separated, json_lines
from components.labeling.formats.annotation import DEFAULT_SERVICE, Annotation, LocatedAnnotation, Rejection, Row

__all__ = ["DEFAULT_SERVICE", "SUFFIXES", "Annotation", "LocatedAnnotation", "Rejection", "parse"]

_READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".csv": comma_separated.rows,
    ".jsonl": json_lines.rows,
    ".json": coco.rows,
}
SUFFIXES = tuple(_READERS)
_PARENT_FOLDER = "path: contains '..'. Copy the path from the manifest."


def parse(name: str, content: bytes) -> tuple[list[LocatedAnnotation], list[Rejection]]:
    """Return the annotations of a file, and its rows that can't be read.

    Args:
        name: Name of the file, which ends in one of `SUFFIXES`.
        content: Content of the file, UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Rejection(name, f"The file is not UTF-8 (byte {error.start + 1}). Export it as UTF-8.")]
    read = next(reader for suffix, reader in _READERS.items() if name.lower().endswith(suffix))
    annotations: list[LocatedAnnotation] = []
    rejected: list[Rejection] = []
    for row in read(text):
        place = f"{name}, {row.position}" if row.position else name
        if isinstance(row.content, str):
            rejected.append(Rejection(place, row.content))
            continue
        try:
            annotation = Annotation.model_validate(row.content)
        except ValidationError as error:
            first = error.errors()[0]
            rejected.append(Rejection(place, f"{first['loc'][0]}: {first['msg']}"))
            continue
        if ".." in annotation.path.split("/"):
            rejected.append(Rejection(place, _PARENT_FOLDER))
        else:
            annotations.append(LocatedAnnotation(place, annotation, row.is_copy))
    return annotations, rejected
