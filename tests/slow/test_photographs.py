"""Large files in little memory: minutes and gigabytes of disk, so outside `make test`."""

import io
import os
import re
import threading
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from PIL import Image

from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.lake.tables import IMAGES, PREDICTIONS
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.score_images.score import require_champion, score_lake
from components.settings import Settings
from components.workers.budget import parse_memory
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


class PeakOfWorkers:
    """Watches what Spark's Python workers take beside the JVM's heap.

    Attributes:
        bytes: The most of them together, shared pages counted once.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.bytes = max(self.bytes, sum(map(_proportional_bytes, Path("/proc").glob("[0-9]*"))))


def _proportional_bytes(process: Path) -> int:
    """Return the memory of one of Spark's workers, 0 of any other process."""
    try:
        # As an argument of its own: the JVM's have it as a part.
        is_worker = b"components.workers.daemon" in (process / "cmdline").read_bytes().split(b"\0")
        if not is_worker or os.getsid(int(process.name)) != os.getsid(0):
            return 0
        (size,) = re.findall(r"^Pss: +(\d+) kB", (process / "smaps_rollup").read_text(), re.MULTILINE)
    except OSError:  # it has ended
        return 0
    return int(size) * 1024


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

    with PeakOfWorkers() as peak:
        ingested = ingest_folder(lake, landing.as_uri(), "*.jpg", None)
        scored = score_lake(lake, registry, require_champion(registry))

    assert 0 < peak.bytes < parse_memory(Settings.load().spark_executor_memory_overhead)
    assert (ingested.ingested, scored.scored) == (PHOTOGRAPHS, PHOTOGRAPHS)
    assert lake.read(IMAGES).select("path").distinct().count() == PHOTOGRAPHS
    assert lake.read(PREDICTIONS).select("path").distinct().count() == PHOTOGRAPHS
