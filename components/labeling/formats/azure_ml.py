"""The row that the three export formats of Azure Machine Learning's labeling share."""

from typing import Any

from components.labeling.formats.annotation import Row

SERVICE = "azure_ml"


def row(position: str, url: Any, label: Any) -> Row:
    """Return the row for an image and its class.

    Args:
        position: Place within the file.
        url: URL of the exported copy.
        label: Name of the class; empty if the image was skipped. A project with several classes per image exports a
            list of names, which must contain exactly one.
    """
    if isinstance(label, list):
        if len(label) != 1:
            return Row(
                position, f"label: {len(label)} classes instead of 1. Export a project with one class per image."
            )
        (label,) = label
    if isinstance(label, dict):
        return Row(position, "label: a region of the image. Export a project that classifies whole images.")
    return Row(position, {"path": url, "name": label, "service": SERVICE}, is_copy=True)
