"""The classes that annotations name. Import adds unknown classes to the lake, so the next training learns them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from components.import_labels.reading import ExportedAnnotation, Reading
from components.labeling.formats import Annotation, Rejection
from components.lake import Lake
from components.lake.class_names import CLASS_NUMBERS
from components.lake.tables import CLASSES, FOLDER_LABELS_END, PEOPLE
from components.spark.frames import frame

# Above the numbers of landing folders: a folder that arrives later could otherwise have the number of a class that
# people named, and mix its images into that class.
FIRST_NEW_LABEL = FOLDER_LABELS_END

_LONGEST_NAME = 200
# Text that a spreadsheet or a browser would execute: an export may have been tampered with.
_FORMULA_OR_MARKUP = re.compile(r"[=+@-]|.*(<[A-Za-z/!]|[\x00-\x1f\x7f])", re.DOTALL)


def assign_labels(lake: Lake, reading: Reading) -> dict[int, str]:
    """Set the class id of each annotation, and add new classes to the lake.

    Args:
        lake: The lake.
        reading: The annotations. One is rejected if several classes have its name, or if its name is not allowed for a
            new class.

    Returns:
        Name of each new class by class id.
    """
    # Two imports could otherwise give one number to two classes.
    with lake.writer(CLASS_NUMBERS):
        existing = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
        names = {*existing.values()}

        def check(exported: ExportedAnnotation) -> ExportedAnnotation | Rejection:
            annotation = exported.annotation
            if annotation.label in existing or annotation.name in names or is_plain_text(annotation.name):
                return exported
            reason = (
                f"name: '{annotation.name[:_LONGEST_NAME]}' is not allowed for a new class. Use one line of at most"
                f" {_LONGEST_NAME} characters without markup, which does not begin with =, +, - or @."
            )
            return Rejection(exported.located.place, reason)

        reading.resolve(check)
        new = find_new_classes([exported.annotation for exported in reading.annotations], existing)
        if new:
            # Before the annotations: if the run is killed between the two writes, the next run finds the classes.
            rows = [(label, name or None, None, PEOPLE) for label, name in new.items()]
            lake.insert_new(CLASSES, frame(lake.spark, rows, CLASSES.columns))
    labels: dict[str, list[int]] = {}
    for label, name in (existing | new).items():
        labels.setdefault(name, []).append(label)

    def assign(exported: ExportedAnnotation) -> ExportedAnnotation | Rejection:
        annotation = exported.annotation
        has_label = annotation.label is not None or not annotation.name
        matching = [annotation.label] if has_label else labels[annotation.name]
        if len(matching) > 1:
            reason = f"name: {len(matching)} classes have the name '{annotation.name}'. Give the class id as label."
            return Rejection(exported.located.place, reason, retryable=True)
        return replace(exported, label=matching[0])

    reading.resolve(assign)
    return {label: name or str(label) for label, name in new.items()}


def is_plain_text(name: str) -> bool:
    """Return whether a name is one line of limited length, without a formula or markup."""
    return len(name) <= _LONGEST_NAME and not _FORMULA_OR_MARKUP.match(name)


def find_new_classes(annotations: list[Annotation], existing: Mapping[int, str | None]) -> dict[int, str]:
    """Return the classes that annotations name and the lake lacks.

    Args:
        annotations: The annotations.
        existing: Name of each class of the lake by class id.

    Returns:
        Name by class id; empty for a class without a name.
    """
    new: dict[int, str] = {}
    for annotation in annotations:
        if annotation.label is not None and annotation.label not in existing:
            new[annotation.label] = new.get(annotation.label) or annotation.name
    names = {annotation.name for annotation in annotations if annotation.label is None and annotation.name}
    free = (label for label in count(FIRST_NEW_LABEL) if label not in existing and label not in new)
    # Sorted, so the class ids do not depend on the order of the files.
    return new | {next(free): name for name in sorted(names - {*existing.values(), *new.values()})}
