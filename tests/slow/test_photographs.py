"""Large files in little memory: minutes and gigabytes of disk, so outside `make test`."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.lake.tables import IMAGES, PREDICTIONS
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.score_images.score import require_champion, score_lake
from tests.local.saved_model_factory import constant_classifier, log_classifier

PHOTOGRAPHS = 300
_LEAST_BYTES = 4_000_000


def photograph() -> bytes:
    """Return noise, which compresses as badly as a photograph of a forest."""
    pixels = np.random.default_rng(0).integers(0, 256, (2400, 2000, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    assert len(buffer.getvalue()) >= _LEAST_BYTES
    return buffer.getvalue()


@pytest.mark.timeout(0)
def test_three_hundred_photographs_of_4_mb_are_ingested_and_scored_in_2_gib(lake: Lake, tmp_path: Path) -> None:
    assert lake.spark.sparkContext.getConf().get("spark.driver.memory") == "2g"
    content = photograph()
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(PHOTOGRAPHS):
        (landing / f"{number:03}.jpg").write_bytes(content + b"%d" % number)
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(tracking, "photographs")
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), 5))
    registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    registry.set_alias(CHAMPION, "1")

    ingested = ingest_folder(lake, landing.as_uri(), "*.jpg", None)
    scored = score_lake(lake, registry, require_champion(registry))

    assert (ingested.ingested, scored.scored) == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert lake.read(IMAGES).select("path").distinct().count() == PHOTOGRAPHS
    assert lake.read(PREDICTIONS).select("path").distinct().count() == PHOTOGRAPHS
