"""Files of answers. What can't be read is told line by line; the rest is taken.

CSV with a header and JSON lines have the columns `path` as the manifest of the export spells it; `label` (class id) or
`name` of the class, both empty if the image was skipped; and, if the service has them, `annotator`, `annotated_at` (ISO
8601, UTC if it names no time zone), `annotation_id`, `service` and `batch`. Other columns are left alone.

What Azure Machine Learning's labelling exports is read as well: COCO, JSON lines and CSV that name the copy of an image
by its URL, and the class by its name.
"""

from collections.abc import Callable, Iterator

from pydantic import ValidationError

from components.import_labels.formats import coco, comma_separated, json_lines
from components.import_labels.formats.answer import DEFAULT_SERVICE, Answer, Located, Rejected, Row

__all__ = ["DEFAULT_SERVICE", "SUFFIXES", "Answer", "Located", "Rejected", "parse"]

_READERS: dict[str, Callable[[str], Iterator[Row]]] = {
    ".csv": comma_separated.rows,
    ".jsonl": json_lines.rows,
    ".json": coco.rows,
}
SUFFIXES = tuple(_READERS)
_LEADS_UPWARDS = "path: has '..' in it; write it as the manifest does"


def parse(name: str, content: bytes) -> tuple[list[Located], list[Rejected]]:
    """Return the answers of a file, and what could not be read of it.

    Args:
        name: The file's name, which ends in one of `SUFFIXES`.
        content: Its bytes, UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return [], [Rejected(name, f"is not UTF-8 (byte {error.start + 1}); export it as UTF-8")]
    read = next(reader for suffix, reader in _READERS.items() if name.lower().endswith(suffix))
    answers: list[Located] = []
    rejected: list[Rejected] = []
    for row in read(text):
        where = f"{name}, {row.place}" if row.place else name
        if isinstance(row.found, str):
            rejected.append(Rejected(where, row.found))
            continue
        try:
            answer = Answer.model_validate(row.found)
        except ValidationError as error:
            first = error.errors()[0]
            rejected.append(Rejected(where, f"{first['loc'][0]}: {first['msg']}"))
            continue
        if ".." in answer.path.split("/"):
            rejected.append(Rejected(where, _LEADS_UPWARDS))
        else:
            answers.append(Located(where, answer, row.is_copy))
    return answers, rejected
