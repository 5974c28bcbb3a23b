"""The people who label images, played by the demo: they always answer, and always right."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

_COLUMNS = ("path", "label", "annotator")
_ANNOTATOR = "demo"


def answer(to_label: Path, true_labels: Path, answers: Path) -> int:
    """Answer for each image that was sent, from the sample's true labels.

    Args:
        to_label: Folder that images were exported to, with a manifest a batch.
        true_labels: The sample's `answers.csv`.
        answers: CSV file to write: one row an image, over all batches.

    Returns:
        How many images were answered for.
    """
    with true_labels.open(newline="") as file:
        # By file name, because a manifest names an image by its URI and the sample by its place in the sample.
        known = {Path(row["path"]).name: row["label"] for row in csv.DictReader(file)}
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    paths = list(_sent(sorted(to_label.rglob("*.jsonl"))))
    writer.writerows((path, known[path.rsplit("/", 1)[-1]], _ANNOTATOR) for path in paths)
    answers.write_text(written.getvalue())
    return len(paths)


def _sent(manifests: Iterable[Path]) -> Iterable[str]:
    for manifest in manifests:
        for line in manifest.read_text().splitlines():
            yield json.loads(line)["path"]
