"""Number the classes of folders, without merging any in silence."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from components.ingest_images.labels.folders import FolderClass
from components.lake.class_names import ClassIndex, class_key, free_labels


@dataclass
class Numbering:
    """The numbers of classes that folders name.

    Attributes:
        labels: Class id of each class.
        refused: Why the images of a class get no label.
        new: Name of each class that the lake lacks, by class id.
        several_numbers: Class ids of each name that has several.
    """

    labels: dict[FolderClass, int] = field(default_factory=dict)
    refused: dict[FolderClass, str] = field(default_factory=dict)
    new: dict[int, str] = field(default_factory=dict)
    several_numbers: dict[str, list[int]] = field(default_factory=dict)


def number_classes(found: Iterable[FolderClass], classes: ClassIndex) -> Numbering:
    """Number classes. A repetition with the new classes in the lake returns the same numbers.

    A number belongs to the first name that it had: images of a folder with its number and another name get no label. A
    name without a number is the class of the lake with this name, or a new class. A name with two numbers stays two
    classes.

    Args:
        found: The classes. Their order does not matter.
        classes: The classes of the lake. The new ones are added.
    """
    result = Numbering()
    numbered = sorted((each for each in found if each.number is not None), key=_order)
    for each in numbered:
        _number(each, classes, result)
    free = free_labels(classes.names)
    for each in sorted({*found} - {*numbered}, key=_order):
        labels = classes.labels(each.name)
        if not labels:
            labels = [next(free)]
            _add(labels[0], each.name, classes, result)
        if len({classes.effective(label) for label in labels}) > 1:
            result.refused[each] = f"the classes {', '.join(map(str, labels))} have the name '{each.name}'"
        else:
            result.labels[each] = labels[0]
    for each in sorted(result.labels, key=_order):
        labels = classes.labels(each.name)
        if len({classes.effective(label) for label in labels}) > 1:
            result.several_numbers[each.name] = labels
    return result


def _number(numbered: FolderClass, classes: ClassIndex, result: Numbering) -> None:
    """Take the number of a folder, unless it belongs to another name."""
    label = numbered.number
    assert label is not None
    if label not in classes.names:
        _add(label, numbered.name, classes, result)
    existing = classes.names[label]
    has_names = existing is not None and FolderClass(existing, label).has_name and numbered.has_name
    # Among them are classes that were merged into this one, e.g. its name before a change.
    of_name = map(classes.effective, classes.labels(numbered.name))
    if not has_names or classes.effective(label) in of_name:
        result.labels[numbered] = label
    else:
        result.refused[numbered] = f"class {label} has the name '{existing}', not '{numbered.name}'"


def _add(label: int, name: str, classes: ClassIndex, result: Numbering) -> None:
    composed = unicodedata.normalize("NFC", name)
    classes.add(label, composed)
    result.new[label] = composed


def _order(each: FolderClass) -> tuple[int, str, str]:
    return (-1 if each.number is None else each.number, class_key(each.name), each.name)
