"""Images with predictions, put into a lake as ingest and scoring would."""

import hashlib
import io
from collections.abc import Mapping
from datetime import UTC, datetime

from PIL import Image

from components.lake import Lake, frame
from components.lake.tables import CLASSES, IMAGES, PREDICTIONS

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def path(number: int) -> str:
    return f"file:/landing/{number:03d}.jpg"


def jpeg(number: int) -> bytes:
    """Return a small image, different for each number."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, 90, 160)).save(buffer, "JPEG", comment=str(number).encode())
    return buffer.getvalue()


def insert_images(
    lake: Lake, images: Mapping[str, bytes], label: int | None = None, ingested_at: datetime = NOW
) -> None:
    """Put images into the lake: content by path, and the label of their folder."""
    rows = [
        (name, NOW, len(content), content, hashlib.sha256(content).hexdigest(), label, ingested_at.date(), ingested_at)
        for name, content in images.items()
    ]
    lake.insert_new(IMAGES, frame(lake.spark, rows, IMAGES.columns))


def insert_predictions(
    lake: Lake, scores: Mapping[str, float | None], version: str = "1", scored_at: datetime = NOW, label: int = 7
) -> None:
    """Put predictions into the lake: score by path, None for an image that could not be decoded."""
    rows = [
        (name, "model", version, None, None, None, None, scored_at, "damaged")
        if score is None
        else (name, "model", version, label, score, 0.5, 0.5, scored_at, None)
        for name, score in scores.items()
    ]
    lake.insert_new(PREDICTIONS, frame(lake.spark, rows, PREDICTIONS.columns))


def insert_scored(lake: Lake, scores: Mapping[int, float], ingested_at: datetime = NOW) -> None:
    """Put images without a label into the lake with the score of each, by number."""
    insert_images(lake, {path(number): jpeg(number) for number in scores}, ingested_at=ingested_at)
    insert_predictions(lake, {path(number): score for number, score in scores.items()})


def insert_class(lake: Lake, label: int, name: str) -> None:
    """Put a class into the lake."""
    lake.insert_new(CLASSES, frame(lake.spark, [(label, name, None)], CLASSES.columns))
