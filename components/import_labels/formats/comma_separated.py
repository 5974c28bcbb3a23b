"""CSV with a header."""

import csv
import io
from collections.abc import Iterator

from components.import_labels.formats import azure_ml
from components.import_labels.formats.answer import Row

_URL = ("url", "image_url")


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
        ours = {"path", "label"} <= set(columns) or {"path", "name"} <= set(columns)
        # Azure Machine Learning spells its columns `Url`, `Label`, or `image_url`, `label`.
        spelling = {column.lower(): column for column in columns}
        url = next((spelling[name] for name in _URL if name in spelling), None)
        if text and not ours and not (url and "label" in spelling):
            yield Row("", "has no columns 'path' and 'label' (or 'name') in its first line, nor 'Url' and 'Label'")
            return
        for row in reader:
            place = f"line {reader.line_num}"
            if None in row or None in row.values():
                yield Row(place, f"has not {len(columns)} fields, as the first line has")
            elif ours or url is None:
                yield Row(place, row)
            else:
                yield azure_ml.row(place, row[url], row[spelling["label"]])
    except csv.Error as error:
        yield Row(f"line {reader.line_num}", f"is no CSV: {error}")
