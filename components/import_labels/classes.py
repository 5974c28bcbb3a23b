"""The classes that answers name. One that nobody knew is a new class of the lake, so the next training has it."""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import count

from components.import_labels.formats import Answer, Rejected
from components.import_labels.reading import Reading, Said
from components.lake import Lake, frame
from components.lake.tables import CLASSES

# A class that people name gets a number of four digits: those of folders have three, and one that lands later would
# have that class' name with its own images.
FIRST_NEW_LABEL = 1000

_LONGEST_NAME = 200
# What a spreadsheet or a page would run. Neither is let in with an export that somebody tampered with or broke.
_FORMULA_OR_MARKUP = re.compile(r"[=+@-]|.*(<[A-Za-z/!]|[\x00-\x1f\x7f])", re.DOTALL)


def give_labels(lake: Lake, reading: Reading) -> dict[int, str]:
    """Give each answer the number of its class, and the lake the classes that are new.

    Args:
        lake: The lake.
        reading: Of which each answer gets its label. One whose name is that of several classes, or can't be that of a
            new one, is left out.

    Returns:
        Name by class id of the new classes.
    """
    known = {row["label"]: row["name"] for row in lake.read(CLASSES).collect()}
    names = {*known.values()}

    def check(said: Said) -> Said | Rejected:
        answer = said.answer
        if answer.label in known or answer.name in names or is_plain(answer.name):
            return said
        return Rejected(said.located.where, f"'{answer.name[:_LONGEST_NAME]}' can't be the name of a new class")

    reading.keep(check)
    new = new_classes([each.answer for each in reading.said], known)
    if new:
        # Before the answers: a run that is cut off between the two leaves a class that the next one finds.
        rows = [(label, text or None, None) for label, text in new.items()]
        lake.insert_new(CLASSES, frame(lake.spark, rows, CLASSES.columns))
    labels: dict[str, list[int]] = {}
    for label, text in (known | new).items():
        labels.setdefault(text, []).append(label)

    def find(said: Said) -> Said | Rejected:
        answer = said.answer
        found = [answer.label] if answer.label is not None or not answer.name else labels[answer.name]
        if len(found) > 1:
            reason = f"{len(found)} classes have the name '{answer.name}'"
            return Rejected(said.located.where, reason, waits=True)
        return replace(said, label=found[0])

    reading.keep(find)
    return {label: text or str(label) for label, text in new.items()}


def is_plain(name: str) -> bool:
    """Tell whether a name may be that of a new class: a line of text that is no formula and has no markup in it."""
    return len(name) <= _LONGEST_NAME and not _FORMULA_OR_MARKUP.match(name)


def new_classes(answers: list[Answer], known: Mapping[int, str | None]) -> dict[int, str]:
    """Return the classes that answers name and that are not known: name, empty if there is none, by class id."""
    new: dict[int, str] = {}
    for answer in answers:
        if answer.label is not None and answer.label not in known:
            new[answer.label] = new.get(answer.label) or answer.name
    named = {answer.name for answer in answers if answer.label is None and answer.name}
    free = (label for label in count(FIRST_NEW_LABEL) if label not in known and label not in new)
    # In the order of their names: so the numbers do not depend on the order of files.
    return new | {next(free): name for name in sorted(named - {*known.values(), *new.values()})}
