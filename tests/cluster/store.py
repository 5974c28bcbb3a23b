"""The S3 store of the cluster's tests, as the standalone overlay lays it out."""

from collections import Counter
from collections.abc import Sequence

from components.lake import Lake
from components.lake.tables import Table
from components.storage import files
from tests.local.training_set_factory import LabelledImage

BUCKET = "mlpipeline"
ROOT = f"s3a://{BUCKET}/image-pipelines"


def land(folder: str, images: Sequence[LabelledImage]) -> list[str]:
    """Put images into a folder below the root, whose name may have `{label}` in it, and return their URIs."""
    uris = [f"{ROOT}/{folder.format(label=label)}/{number}.jpg" for number, (_, label) in enumerate(images)]
    for uri, (content, _) in zip(uris, images, strict=True):
        files.write_bytes(uri, content)
    return uris


def paths(lake: Lake, table: Table) -> Counter[str]:
    """Return how often each path is in a table."""
    return Counter(row["path"] for row in lake.read(table).select("path").collect())
