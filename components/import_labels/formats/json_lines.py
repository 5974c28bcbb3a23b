"""JSON lines."""

import json
from collections.abc import Iterator

from components.import_labels.formats import azure_ml
from components.import_labels.formats.answer import Row


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"line {number}"
        try:
            row = json.loads(line)
        # A number of thousands of digits is a ValueError that is no JSONDecodeError.
        except (ValueError, RecursionError):
            yield Row(place, "is no JSON")
            continue
        if not isinstance(row, dict):
            yield Row(place, "is no JSON object")
        elif "image_url" in row and "path" not in row:
            # Without a label it is an image that was listed, not one that was skipped.
            labelled = "label" in row
            yield azure_ml.row(place, row["image_url"], row["label"]) if labelled else Row(place, "label: is missing")
        else:
            yield Row(place, row)
