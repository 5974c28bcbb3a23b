"""CSV with a header, in our columns or in the columns of Azure Machine Learning."""

import csv
import io
from collections.abc import Iterator

from components.labeling.formats import azure_ml
from components.labeling.formats.annotation import Row

_URL = ("url", "image_url")
_NO_HEADER = "The first line lacks the columns 'path' and 'label' (or 'name'), and 'Url' and 'Label'. Add a header."


def rows(text: str) -> Iterator[Row]:
    """Yield the rows of a file."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = reader.fieldnames or []
        ours = {"path", "label"} <= set(columns) or {"path", "name"} <= set(columns)
        # Azure Machine Learning names its columns `Url`, `Label`, or `image_url`, `label`.
        spelling = {column.lower(): column for column in columns}
        url = next((spelling[name] for name in _URL if name in spelling), None)
        if text and not ours and not (url and "label" in spelling):
            yield Row("", _NO_HEADER)
            return
        for row in reader:
            position = f"line {reader.line_num}"
            if None in row or None in row.values():
                yield Row(
                    position, f"The line has more or fewer fields than the first line ({len(columns)}). Correct it."
                )
            elif ours or url is None:
                yield Row(position, row)
            else:
                yield azure_ml.row(position, row[url], row[spelling["label"]])
    except csv.Error as error:
        yield Row(f"line {reader.line_num}", f"The line is not valid CSV: {error}. Export the file again.")
