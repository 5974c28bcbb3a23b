"""The row that the three export formats of Azure Machine Learning's labeling share."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from components.labeling.formats.annotation import LeftOut, Row
from components.labeling.formats.classes import UNFINISHED, several, single_class
from components.labeling.formats.values import shown

SERVICE = "azure_ml"

# Keys for the URL of an exported copy.
_URLS = ("image_url", "url")
_CONFIDENCE = "labelconfidence"
# Keys of an image that nobody has labeled.
_UNLABELED = {*_URLS, "image_details", "image_width", "image_height", "label_confidence", _CONFIDENCE}


def is_row(keys: Collection[str]) -> bool:
    """Return whether a table or an object with these keys, in lower case, is an export of this service."""
    return any(url in keys for url in _URLS)


def row(position: str, fields: Mapping[str, Any]) -> Row:
    """Return the row for an object, or for a line of a table.

    Args:
        position: Place within the file.
        fields: Fields by key in lower case. An image that is not labeled yet lacks the key `label`.
    """
    url = next(fields[key] for key in _URLS if key in fields)
    if "label" not in fields:
        unknown = sorted(fields.keys() - _UNLABELED)
        return Row(position, _missing(unknown) if unknown else UNFINISHED)
    # The table of a project with several classes per image has one cell with all names, and one with as many numbers.
    confidences = str(fields.get(_CONFIDENCE) or "").split(",")
    if len(confidences) > 1:
        return Row(position, several(len(confidences)))
    return class_row(position, url, fields["label"])


def _missing(unknown: Sequence[str]) -> LeftOut:
    found = ", ".join(shown(key) for key in unknown)
    return LeftOut(f"label: missing. Unknown keys: {found}. Give the class as label.")


def class_row(position: str, url: Any, label: Any) -> Row:
    """Return the row for an image and its class.

    Args:
        position: Place within the file.
        url: URL of the exported copy.
        label: Name of the class. A project with several classes per image exports a list of names, which must contain
            exactly one.
    """
    name = single_class(label)
    if isinstance(name, LeftOut):
        return Row(position, name)
    return Row(position, {"path": url, "name": name, "service": SERVICE}, is_copy=True)
