"""JSON lines, with our keys or with the keys of Azure Machine Learning."""

import json
from collections.abc import Iterator

from components.labeling.formats import azure_ml
from components.labeling.formats.annotation import Row

_UNLABELED = "label: missing. Label the image, then export again."


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        position = f"line {number}"
        try:
            row = json.loads(line)
        # A number with thousands of digits raises a ValueError, not a JSONDecodeError.
        except (ValueError, RecursionError):
            yield Row(position, "The line is not valid JSON. Export the file again.")
            continue
        if not isinstance(row, dict):
            yield Row(position, "The line is not a JSON object. Write one object per line.")
        elif "image_url" in row and "path" not in row:
            # An image without the key is not labeled yet. A skipped image has an empty label.
            labeled = "label" in row
            yield azure_ml.row(position, row["image_url"], row["label"]) if labeled else Row(position, _UNLABELED)
        else:
            yield Row(position, row)
