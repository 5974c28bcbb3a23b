"""The demo's people: they label every image that they are sent, and always correctly."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

_COLUMNS = ("path", "label", "annotator")
_ANNOTATOR = "demo"


def annotate(to_label: Path, true_labels: Path, annotations: Path) -> int:
    """Annotate each exported image with its true label.

    Args:
        to_label: Folder of the exported images, with a manifest for each batch.
        true_labels: The sample's `answers.csv`.
        annotations: CSV file to write, with a row for each image of all batches.

    Returns:
        Number of annotated images.
    """
    with true_labels.open(newline="") as file:
        # By file name: a manifest has the URIs of images, the sample has paths relative to itself.
        labels = {Path(row["path"]).name: row["label"] for row in csv.DictReader(file)}
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_COLUMNS)
    paths = list(_exported_paths(sorted(to_label.rglob("*.jsonl"))))
    writer.writerows((path, labels[path.rsplit("/", 1)[-1]], _ANNOTATOR) for path in paths)
    annotations.write_text(written.getvalue())
    return len(paths)


def _exported_paths(manifests: Iterable[Path]) -> Iterable[str]:
    for manifest in manifests:
        for line in manifest.read_text().splitlines():
            yield json.loads(line)["path"]
