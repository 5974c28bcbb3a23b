"""The classes that annotations name. Import reports unknown classes first, and adds them in a later run.

A misspelled name would otherwise be a class that a model learns. People see the report, and correct the name in the
labeling service before the class counts.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from components.import_labels.reading import ExportedAnnotation, Reading
from components.labeling.formats import Annotation, Outcome, Rejection
from components.lake import Lake
from components.lake.class_names import CLASS_NUMBERS, ClassIndex, class_key, free_labels
from components.lake.tables import CLASSES, PEOPLE
from components.spark.frames import frame

_LONGEST_NAME = 200
# Text that a spreadsheet or a browser would execute: an export may have been tampered with.
_FORMULA_OR_MARKUP = re.compile(r"[=+@-]|.*(<[A-Za-z/!]|[\x00-\x1f\x7f])", re.DOTALL)
# What separates names in a cell with several classes.
_SEPARATORS = re.compile(r"[,;|]")


@dataclass
class NewClasses:
    """The classes of a reading that the lake lacked.

    Attributes:
        added: Name of each class that this run added, by class id.
        waiting: Name and number of annotations of each class that the next run adds, by `key`.
    """

    added: dict[int, str] = field(default_factory=dict)
    waiting: dict[str, tuple[str, int]] = field(default_factory=dict)

    @property
    def waiting_by_name(self) -> dict[str, int]:
        """Number of annotations of each class that the next run adds, by name."""
        return dict(self.waiting.values())


def find_labels(name: str, existing: ClassIndex) -> list[int]:
    """Return the ids of the classes with a name, in order; one of them if all were merged into one.

    A class with exactly this name is preferred to those with another case, and any class to retired ones.
    """
    named = existing.labels(name)
    found = [label for label in named if not existing.is_retired(label)] or named
    exact = [label for label in found if _normal(existing.names[label] or "") == _normal(name)] or found
    return exact if len({existing.effective(label) for label in exact}) > 1 else exact[:1]


def has_name(label: int, name: str, existing: ClassIndex) -> bool:
    """Return whether an existing class, or one that counts as the same class, has a name or has none."""
    end = existing.effective(label)
    known = [existing.names.get(each) for each in (label, end)]
    return not any(known) or end in {existing.effective(each) for each in existing.labels(name)}


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def key(annotation: Annotation) -> str:
    """Return the text that identifies a new class from one run to the next."""
    return class_key(annotation.name) if annotation.name else f"label {annotation.label}"


def assign_labels(lake: Lake, reading: Reading, reported: Collection[str] = ()) -> NewClasses:
    """Set the class id of each annotation, and add new classes to the lake if an earlier run reported them.

    Args:
        lake: The lake.
        reading: The annotations. One is rejected if its label and its name contradict each other, if several classes
            have its name, if its class is retired or waits for the next run, or if its name is not allowed for a new
            class.
        reported: New classes that an earlier run reported, by `key`.
    """
    result = NewClasses()
    # Two imports could otherwise give one number to two classes.
    with lake.writer(CLASS_NUMBERS):
        existing = ClassIndex(lake.classes().rows)
        contradicting = find_contradictions((exported.annotation for exported in reading.annotations), existing)

        def check(exported: ExportedAnnotation) -> ExportedAnnotation | Rejection:
            annotation, place = exported.annotation, exported.located.place
            if reason := reject_class(annotation, existing):
                # A change of the lake's classes may make it acceptable.
                retryable = _is_ambiguous(annotation, existing) or _is_retired(annotation, existing)
                return Rejection(place, reason, retryable)
            if not is_new(annotation, existing):
                return exported
            if reason := contradicting.get(key(annotation), ""):
                return Rejection(place, reason)
            if key(annotation) not in reported:
                name = _normal(annotation.name) or str(annotation.label)
                first, annotations = result.waiting.get(key(annotation), (name, 0))
                result.waiting[key(annotation)] = first, annotations + 1
                return Rejection(place, _waits(name), retryable=True, outcome=Outcome.NEW_CLASS)
            return exported

        reading.resolve(check)
        added = find_new_classes([exported.annotation for exported in reading.annotations], existing)
        if added:
            # Before the annotations: if the run is killed between the two writes, the next run finds the classes.
            values = [(label, name or None, None, PEOPLE) for label, name in added.items()]
            lake.insert_new(CLASSES, frame(lake.spark, values, CLASSES.columns))
    for label, name in added.items():
        existing.add(label, name or None)

    def assign(exported: ExportedAnnotation) -> ExportedAnnotation:
        annotation = exported.annotation
        if annotation.label is not None or not annotation.name:
            return replace(exported, label=annotation.label)
        return replace(exported, label=find_labels(annotation.name, existing)[0])

    reading.resolve(assign)
    result.added = {label: name or str(label) for label, name in added.items()}
    return result


def is_new(annotation: Annotation, existing: ClassIndex) -> bool:
    """Return whether the lake lacks the class of an annotation."""
    if annotation.label is not None:
        return annotation.label not in existing.names
    return bool(annotation.name) and not find_labels(annotation.name, existing)


def reject_class(annotation: Annotation, existing: ClassIndex) -> str:
    """Return the reason why an annotation's class is rejected; empty if it is not."""
    label, name = annotation.label, annotation.name
    found = find_labels(name, existing) if name else []
    if _is_retired(annotation, existing):
        given = f"label: class {label}" if label is not None else f"name: class '{_short(name)}'"
        return f"{given} is retired. Give another class, or run `image-pipelines classes restore`."
    if label is not None and label in existing.names:
        if name and not has_name(label, name, existing):
            return f"label: {label} is the class '{existing.names[label]}', not '{_short(name)}'. Correct one of them."
        return ""
    if label is not None and found:
        return f"label: {label} is unknown, but '{_short(name)}' is the class {found[0]}. Correct one of them."
    if _is_ambiguous(annotation, existing):
        return f"name: {len(found)} classes have the name '{_short(name)}'. Give the class id as label."
    if found or not name:
        return ""
    if label is None and len([part for part in _SEPARATORS.split(name) if part.strip()]) > 1:
        return (
            f"name: '{_short(name)}' names several classes. Label each image with one class; if it is one class, also"
            " give its class id as label."
        )
    if not is_plain_text(name):
        return (
            f"name: '{_short(name)}' is not allowed for a new class. Use one line of at most {_LONGEST_NAME} characters"
            " without markup, which does not begin with =, +, - or @."
        )
    return ""


def _is_retired(annotation: Annotation, existing: ClassIndex) -> bool:
    labels = [annotation.label] if annotation.label is not None else []
    labels = labels or (find_labels(annotation.name, existing) if annotation.name else [])
    return any(existing.is_retired(label) for label in labels)


def _is_ambiguous(annotation: Annotation, existing: ClassIndex) -> bool:
    return annotation.label is None and bool(annotation.name) and len(find_labels(annotation.name, existing)) > 1


def is_plain_text(name: str) -> bool:
    """Return whether a name is one line of limited length, without a formula or markup."""
    return len(name) <= _LONGEST_NAME and not _FORMULA_OR_MARKUP.match(name)


def find_contradictions(annotations: Iterable[Annotation], existing: ClassIndex) -> dict[str, str]:
    """Return the new classes to which annotations give several names or several numbers.

    Args:
        annotations: The annotations.
        existing: The classes of the lake.

    Returns:
        Reason by `key` of the annotations.
    """
    names: dict[int, dict[str, str]] = {}
    labels: dict[str, set[int]] = {}
    for annotation in annotations:
        if annotation.label is not None and annotation.name and is_new(annotation, existing):
            names.setdefault(annotation.label, {})[class_key(annotation.name)] = annotation.name
            labels.setdefault(class_key(annotation.name), set()).add(annotation.label)
    reasons: dict[str, str] = {}
    for label, given in names.items():
        if len(given) > 1:
            found = ", ".join(f"'{_short(name)}'" for _, name in sorted(given.items())[:3])
            reasons |= dict.fromkeys(given, f"label: {label} is a new class with several names: {found}. Give it one.")
    for folded, numbers in labels.items():
        if len(numbers) > 1:
            found = ", ".join(str(label) for label in sorted(numbers)[:3])
            reasons[folded] = f"name: the new class has several class ids: {found}. Give it one."
    return reasons


def find_new_classes(annotations: Iterable[Annotation], existing: ClassIndex) -> dict[int, str]:
    """Return the classes that annotations name and the lake lacks.

    Args:
        annotations: The annotations, without those that are rejected.
        existing: The classes of the lake.

    Returns:
        Name by class id; empty for a class without a name.
    """
    new: dict[int, str] = {}
    spellings: dict[str, Counter[str]] = {}
    for annotation in annotations:
        if not is_new(annotation, existing):
            continue
        name = _normal(annotation.name)
        if annotation.label is None:
            spellings.setdefault(class_key(name), Counter())[name] += 1
        else:
            new[annotation.label] = new.get(annotation.label) or name
    numbered = {class_key(name) for name in new.values()}
    free = free_labels(existing.names.keys() | new.keys())
    # Sorted, so the class ids do not depend on the order of the files.
    named = {next(free): _usual(spellings[folded]) for folded in sorted(spellings.keys() - numbered)}
    return new | named


def _usual(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda name: (-spellings[name], name))


def _waits(name: str) -> str:
    return f"name: '{_short(name)}' is a new class. It counts from the next import on. Correct it if it is misspelled."


def _short(name: str) -> str:
    return name[:_LONGEST_NAME]
