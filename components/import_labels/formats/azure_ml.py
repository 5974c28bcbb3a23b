"""What the three exports of Azure Machine Learning's labelling have in common."""

from typing import Any

from components.import_labels.formats.answer import Row

SERVICE = "azure_ml"


def row(place: str, url: Any, label: Any) -> Row:
    """Return the row of an export.

    Args:
        place: Where in the file it is.
        url: URL of the copy.
        label: Name of the class, or a list of one name, as projects of several classes an image have it; empty if the
            image was skipped.
    """
    if isinstance(label, list):
        if len(label) != 1:
            return Row(place, f"label: has {len(label)} classes, and an image has one")
        (label,) = label
    if isinstance(label, dict):
        return Row(place, "label: is a region of the image; export a project that classifies whole images")
    return Row(place, {"path": url, "name": label, "service": SERVICE}, is_copy=True)
