"""The S3 store of the cluster's tests, with the layout of the standalone overlay."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from components.lake import Lake
from components.lake.tables import Table
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.training_set.manifest import MANIFEST, MEMBERS, SEGMENTS_FOLDER, SplitName
from tests.support.training_set_factory import LabeledImage, make_training_set

BUCKET = "mlpipeline"
ROOT = f"s3a://{BUCKET}/image-pipelines"


def store_files() -> Files:
    """Return the files of the store that the environment names."""
    return Files.of(Settings.load())


def land(folder: str, images: Sequence[LabeledImage]) -> list[str]:
    """Upload images to a folder below the root, and return their URIs.

    Args:
        folder: Name of the folder, which can contain `{label}`.
        images: Pairs of content and label.
    """
    uris = [f"{ROOT}/{folder.format(label=label)}/{number}.jpg" for number, (_, label) in enumerate(images)]
    files = store_files()
    for each, (content, _) in zip(uris, images, strict=True):
        files.write_bytes(each, content)
    return uris


def land_training_set(folder: Path, lake: str, images: Sequence[LabeledImage]) -> str:
    """Upload a training set for two ranks to a lake, and return its URI.

    Args:
        folder: Empty folder on this machine.
        lake: Root URI of the lake.
        images: Members. The last 20 are for validation.
    """
    split = {SplitName.TRAIN: images[:-20], SplitName.VALIDATION: images[-20:]}
    made = make_training_set(folder, split, segments=2)
    target, segments_uri = uri.join(lake, "training_sets", made.id), uri.join(lake, SEGMENTS_FOLDER)
    files = store_files()
    for source, copy in ((folder / MEMBERS, uri.join(target, MEMBERS)), (folder / SEGMENTS_FOLDER, segments_uri)):
        for path in source.iterdir():
            files.write_bytes(uri.join(copy, path.name), path.read_bytes())
    moved = made.model_copy(update={"uri": target, "segments_uri": segments_uri})
    files.write_text(uri.join(target, MANIFEST), moved.model_dump_json())
    return target


def paths(lake: Lake, table: Table) -> Counter[str]:
    """Return the number of rows of each path in a table."""
    return Counter(row["path"] for row in lake.read(table).select("path").collect())
