"""Bytes written by scoring images and labeling a tenth of them."""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from benchmarks.bench import Bench
from benchmarks.lakes import image_path, insert_classes, insert_images
from benchmarks.results import OURS, Baseline, Direction, Goal, Row, make_row
from benchmarks.timing import Measurements
from components.import_labels.import_annotations import import_into
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import IMAGES, PREDICTIONS
from components.registry.model_registry import ModelRegistry
from components.settings import Settings

_SIZES = (200, 800)
_BYTES = 32_000
# One image in ten gets a label.
_IMAGES_PER_LABEL = 10


def measure(bench: Bench) -> Iterable[Row]:
    """Count the bytes that are added to the folders of the tables."""
    lakes = {count: bench.lake(f"merge-{count}") for count in _SIZES}
    registry = ModelRegistry.open(bench.settings("merge"))
    # In parallel, because time is not measured.
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda count: _row(bench, lakes[count], registry, count), _SIZES)


def _row(bench: Bench, lake: Lake, registry: ModelRegistry, count: int) -> Row:
    # Random bytes are as incompressible as JPEG files. Their content does not matter here.
    random = np.random.default_rng(count)
    insert_images(lake, [random.bytes(_BYTES) for _ in range(count)])
    insert_classes(lake)
    folder = bench.make_folder(f"merge-{count}")
    wide = _make_wide_table(lake, folder / "image_data")
    ours = _kilobytes_written(
        folder / "lake", partial(_write_narrow_tables, lake, registry, folder / "annotations.jsonl", count)
    )
    reference = _kilobytes_written(wide, partial(_merge_into_wide_table, lake, wide, count))
    return make_row(
        Measurements({OURS: [ours], Baseline.REFERENCE: [reference]}),
        Baseline.REFERENCE,
        name="bytes written by scoring and labeling",
        size=f"{count:,} images of {_BYTES // 1000} kB, {count // _IMAGES_PER_LABEL} labels",
        unit="kB",
        goal=Goal(direction=Direction.AT_MOST, value=0.01),
        how="The values are bytes added on disk, including the tables' logs and checkpoints. Ours appends a row for"
        " each image to `predictions`, and import_labels imports annotations of a tenth of the images. The reference"
        " makes two MERGEs into one table, which has the same columns and the images' content.",
    )


def _kilobytes_written(folder: Path, work: Callable[[], object]) -> float:
    before = _bytes(folder)
    work()
    return (_bytes(folder) - before) / 1000


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _predictions(lake: Lake, count: int) -> DataFrame:
    """Return a prediction for each image, in the columns of `predictions`."""
    values = {
        "model_digest": F.lit("digest"),
        "model_name": F.lit("model"),
        "model_version": F.lit("1"),
        "predicted_label": F.lit(1),
        "predicted_score": F.rand(count).cast("float"),
        "margin": F.lit(0.5).cast("float"),
        "entropy": F.lit(0.5).cast("float"),
        "scored_at": F.lit(datetime.now(UTC)),
        "error": F.lit(None).cast("string"),
    }
    images = lake.current_images().select("path", "content_sha256").withColumns(values)
    # Persisted, because a MERGE reads its source twice.
    return images.select(PREDICTIONS.schema.fieldNames()).persist()


def _write_narrow_tables(lake: Lake, registry: ModelRegistry, annotations: Path, count: int) -> None:
    lake.append(PREDICTIONS, _predictions(lake, count))
    lines = [json.dumps({"path": image_path(number), "label": 1}) for number in range(0, count, _IMAGES_PER_LABEL)]
    annotations.write_text("\n".join(lines))
    imported = import_into(lake, registry, open_source(str(annotations), Settings.load()))
    if imported.imported != len(lines):
        raise RuntimeError(
            f"{annotations}: {imported.imported} of {len(lines)} labels were imported: {imported.rejected[:1]}"
        )


def _make_wide_table(lake: Lake, folder: Path) -> Path:
    """Create the reference's table with the same images."""
    none = F.lit(None).cast("int")
    columns = ("path", "modificationTime", "length", "content", none.alias("label"), "load_date")
    rows = lake.read(IMAGES).select(*columns, none.alias("predicted_label"))
    rows.write.format("delta").save(str(folder))
    return folder


def _merge_into_wide_table(lake: Lake, folder: Path, count: int) -> None:
    """Merge predictions and labels into one table, like the reference system."""
    predicted = _predictions(lake, count).select("path", "predicted_label")
    labels = predicted.where(F.substring("path", -5, 1) == "0").select("path", F.lit(1).alias("label"))
    for rows in (predicted, labels):
        (
            DeltaTable.forPath(lake.spark, str(folder))
            .alias("target")
            .merge(rows.alias("source"), "target.path = source.path")
            .whenMatchedUpdate(set={name: f"source.{name}" for name in rows.columns if name != "path"})
            .execute()
        )
