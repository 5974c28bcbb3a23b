"""Images and predictions for lakes of tests, as ingest and scoring would write them."""

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mlflow import MlflowClient
from PIL import Image

from components.lake import Lake
from components.lake.tables import CLASSES, FILES, IMAGE, PEOPLE, PREDICTIONS, UNRECORDED
from components.registry.model_registry import CHAMPION
from components.registry.tags import DIGEST_TAG
from components.succession import ModelVersion, Succession
from tests.support.kills.separate_reader import read_table
from tests.support.lake_rows import append_images, append_rows

MODEL = "model"
# Recent, because steps look at the images of the last weeks.
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def digest_of(version: str, model: str = MODEL) -> str:
    """Return the digest of a model version in tests that need no model."""
    return f"digest-{version}" if model == MODEL else f"{model}-digest-{version}"


def succession(*versions: str, model: str = MODEL) -> Succession:
    """Return a succession of versions: the champion, then predecessors."""
    return Succession(model, tuple(ModelVersion(version, digest_of(version, model)) for version in versions))


# The succession of the predictions that are inserted here by default.
SUCCESSION = succession("1")


def path(number: int) -> str:
    return f"file:/landing/{number:03d}.jpg"


def jpeg(number: int) -> bytes:
    """Return a small JPEG, different for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, 90, 160)).save(buffer, "JPEG", comment=str(number).encode())
    return buffer.getvalue()


def insert_images(
    lake: Lake, images: Mapping[str, bytes], label: int | None = None, ingested_at: datetime | None = None
) -> None:
    """Insert new images.

    Args:
        lake: The lake.
        images: Content by path.
        label: Class id of the folder.
        ingested_at: Time of the ingest; None takes the present, as ingest does.
    """
    append_images(lake, [(name, content, label) for name, content in images.items()], ingested_at or datetime.now(UTC))


def insert_predictions(
    lake: Lake,
    scores: Mapping[str, float | None],
    version: str = "1",
    scored_at: datetime = NOW,
    label: int = 7,
    model: str | None = MODEL,
    digest: str | None = None,
) -> None:
    """Insert predictions of current images.

    Args:
        lake: The lake.
        scores: Score by path, 0..1; None for an undecodable image.
        version: Version of the model.
        scored_at: Time of the predictions.
        label: Predicted class id.
        model: Registered model; None as in release 0.1.0, which recorded neither model nor digest.
        digest: Digest of the version; None for `digest_of`.
    """
    hashes = {row["path"]: row["content_sha256"] for row in read_table(lake, FILES) if row["state"] == IMAGE}
    model_digest = digest or (UNRECORDED if model is None else digest_of(version, model))
    rows = [
        (name, hashes[name], model_digest, model, version)
        + (
            (None, None, None, None, scored_at, "damaged")
            if score is None
            else (label, score, 0.5, 0.5, scored_at, None)
        )
        for name, score in scores.items()
    ]
    append_rows(lake, PREDICTIONS, rows)


def insert_scored(lake: Lake, scores: Mapping[int, float], ingested_at: datetime | None = None) -> None:
    """Insert unlabeled images with the score of each, by number."""
    insert_images(lake, {path(number): jpeg(number) for number in scores}, ingested_at=ingested_at)
    insert_predictions(lake, {path(number): score for number, score in scores.items()})


def register_champion(tracking: str, model: str = MODEL) -> None:
    """Register a champion without files, which is enough to read predictions."""
    client = MlflowClient(tracking, tracking)
    client.create_registered_model(model)
    tags = {DIGEST_TAG: digest_of("1", model)}
    created = client.create_model_version(model, "file:///nowhere", tags=tags)
    client.set_registered_model_alias(model, CHAMPION, created.version)


def insert_class(lake: Lake, label: int, name: str) -> None:
    """Insert a class that people made."""
    append_rows(lake, CLASSES, [(label, name, None, PEOPLE)])
