"""Large files in little memory: minutes and gigabytes of disk, so outside `make test`."""

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.lake.tables import IMAGES, PREDICTIONS
from components.registry.champion import require_champion
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.score_images.score import score_lake
from components.settings import Settings
from components.spark.memory_budget import parse_memory
from tests.support.sampling import process_memory, sampled
from tests.support.saved_model_factory import constant_classifier, log_classifier

PHOTOGRAPHS = 300
LARGE_PHOTOGRAPHS = 100


def photograph(width: int, height: int, least_bytes: int) -> bytes:
    """Return noise, which compresses as badly as a photograph of a forest."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    assert len(buffer.getvalue()) >= least_bytes
    return buffer.getvalue()


class PeakOfWorkers:
    """The peak memory of Spark's Python workers.

    Attributes:
        bytes: Largest total of all workers, in bytes. Shared pages count once.
    """

    bytes = 0

    def sample(self) -> None:
        """Add up the memory of the workers now."""
        self.bytes = max(self.bytes, sum(process_memory(pid, "Pss") for pid in _workers()))


def _workers() -> Iterator[int]:
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            # Workers have the module's name as a separate argument. The JVM has it as a part of an argument.
            is_worker = b"components.spark.python_workers" in (process / "cmdline").read_bytes().split(b"\0")
            if is_worker and os.getsid(int(process.name)) == os.getsid(0):
                yield int(process.name)


@pytest.mark.timeout(0)
def test_three_hundred_photographs_of_4_mb_are_ingested_and_scored_in_2_gib(lake: Lake, tmp_path: Path) -> None:
    assert lake.spark.sparkContext.getConf().get("spark.driver.memory") == "2g"
    content = photograph(2000, 2400, 4_000_000)
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(PHOTOGRAPHS):
        (landing / f"{number:03}.jpg").write_bytes(content + b"%d" % number)
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(tracking, "photographs")
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), 5))
    registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    registry.set_alias(CHAMPION, "1")

    peak = PeakOfWorkers()
    with sampled(peak.sample, 0.1):
        ingested = ingest_folder(lake, landing.as_uri(), labeled=False)
        scored = score_lake(lake, registry, require_champion(registry))

    assert 0 < peak.bytes < parse_memory(Settings.load().spark_executor_memory_overhead)
    assert (ingested.ingested, scored.scored) == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert lake.read(IMAGES).select("path").distinct().count() == PHOTOGRAPHS
    assert lake.read(PREDICTIONS).select("path").distinct().count() == PHOTOGRAPHS


@pytest.mark.timeout(0)
def test_one_hundred_photographs_of_20_mb_are_ingested_in_2_gib(lake: Lake, tmp_path: Path) -> None:
    assert lake.spark.sparkContext.getConf().get("spark.driver.memory") == "2g"
    content = photograph(5200, 5200, 20_000_000)
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(LARGE_PHOTOGRAPHS):
        (landing / f"{number:03}.jpg").write_bytes(content + b"%d" % number)

    peak = PeakOfWorkers()
    with sampled(peak.sample, 0.1):
        ingested = ingest_folder(lake, landing.as_uri(), labeled=False)

    assert 0 < peak.bytes < parse_memory(Settings.load().spark_executor_memory_overhead)
    assert ingested.ingested == LARGE_PHOTOGRAPHS
    assert lake.current_images().count() == LARGE_PHOTOGRAPHS
