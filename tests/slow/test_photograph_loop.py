"""The three pipelines on crops of scikit-learn's two photographs, with a randomly initialized Xception."""

import csv
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image
from pyspark.sql import SparkSession
from sklearn.datasets import load_sample_images

from components.lake import Lake, Table
from components.lake.tables import FILES, IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS
from components.registry.model_registry import ModelRegistry
from components.registry.tags import RUN_TAG, TRAINING_SET_ID_TAG
from components.settings import Settings
from pipelines.catalogue import COMPILED
from pipelines.demo import people
from pipelines.demo.folder import DemoFolder
from pipelines.local_runner import LocalRun, run_compiled
from pipelines.parameters import convert_parameters
from pipelines.samples.layout import LABELED, TRUE_LABELS, UNLABELED, true_labels_csv
from tests.support.paths import TRAINER_PYTHON

# Numbers of places in each of the two photographs. Each place is a class.
COLUMNS, ROWS = 5, 2
CLASSES = 2 * COLUMNS * ROWS
IMAGES_OF_A_CLASS = 250
ARRIVE_LATER = 25
SIDE = 360
# With images of 150 x 150, a run takes minutes. With Xception's default of 299 x 299, it takes almost half an hour.
TRAINING: dict[str, Any] = {"backbone": "xception", "weights": "none", "image_size": 150, "epochs": 2, "ranks": 2}
SCORING: dict[str, Any] = {"threshold": 0.5, "fraction": 0.2, "audit_fraction": 0.1}


def crops(label: int) -> Iterator[bytes]:
    """Yield the images of a class: random crops of a place in one of the photographs."""
    photograph = Image.fromarray(load_sample_images().images[label % 2])
    row, column = divmod(label // 2, COLUMNS)
    width, height = photograph.width / COLUMNS, photograph.height / ROWS
    random = np.random.default_rng(label)
    for _ in range(IMAGES_OF_A_CLASS):
        side = random.uniform(0.7, 1) * min(width, height)
        left = column * width + random.uniform(0, width - side)
        top = row * height + random.uniform(0, height - side)
        buffer = io.BytesIO()
        part = photograph.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        part.save(buffer, "JPEG", quality=93)
        yield buffer.getvalue()


def make_sample(folder: Path) -> int:
    """Write the crops as a sample data set, and return their mean size in bytes."""
    (folder / UNLABELED).mkdir(parents=True)
    answers, sizes = [], []
    for label in range(1, CLASSES + 1):
        name = f"place-{label}"
        labeled = folder / LABELED / f"{label:03}.{name}"
        labeled.mkdir(parents=True)
        for number, content in enumerate(crops(label - 1)):
            sizes.append(len(content))
            if number < ARRIVE_LATER:
                answers.append((f"{UNLABELED}/{label}-{number}.jpg", label, name))
                (folder / answers[-1][0]).write_bytes(content)
            else:
                (labeled / f"{number:04}.jpg").write_bytes(content)
    (folder / TRUE_LABELS).write_bytes(true_labels_csv(answers))
    return sum(sizes) // len(sizes)


@pytest.mark.timeout(0)
def test_each_photograph_is_processed_once_by_the_three_pipelines(spark: SparkSession, tmp_path: Path) -> None:
    places = DemoFolder(tmp_path)
    assert 20_000 <= make_sample(places.sample) <= 40_000
    MlflowClient(places.tracking_uri).create_experiment(Settings.load().experiment, places.artifacts)
    registry = ModelRegistry(places.tracking_uri, Settings.load().model_name)
    lake = Lake(spark, str(places.lake))

    def run(pipeline: str, **arguments: Any) -> LocalRun:
        environment = places.environment(TRAINER_PYTHON)
        given = convert_parameters(pipeline, arguments)
        return run_compiled(COMPILED / f"{pipeline}.yaml", given, places.runs, environment, places.log(pipeline))

    def once(table: Table) -> int:
        rows = lake.read(table).select("path").collect()
        assert len(rows) == len({row["path"] for row in rows})
        return len(rows)

    run("training", source=str(places.sample / LABELED), **TRAINING)
    run("scoring", source=str(places.sample / UNLABELED), **SCORING)
    sent = people.annotate(places.to_label, places.sample / TRUE_LABELS, places.labels)
    run("labeling", source=str(places.labels), **TRAINING)
    again = run("scoring", source=str(places.sample / UNLABELED), **SCORING)

    client = MlflowClient(places.tracking_uri)
    for version in ("1", "2"):
        trained_with = client.get_run(registry.version(version).tags[RUN_TAG]).data.params
        assert (trained_with["backbone"], trained_with["weights"]) == ("xception", "none")
    assert once(FILES) == once(IMAGES) == lake.current_images().count() == CLASSES * IMAGES_OF_A_CLASS
    assert once(PREDICTIONS) == CLASSES * ARRIVE_LATER
    assert once(LABELING_REQUESTS) == once(LABELS) == sent > 0
    assert registry.version("2").tags[TRAINING_SET_ID_TAG] != registry.version("1").tags[TRAINING_SET_ID_TAG]
    assert again.tasks["ingest-images"].outputs["found"] == again.tasks["score-images"].outputs["scored"] == 0
    with (places.sample / TRUE_LABELS).open(newline="") as file:
        true = {f"file:{places.sample / row['path']}": int(row["label"]) for row in csv.DictReader(file)}
    assert all(true[row["path"]] == row["label"] for row in lake.read(LABELS).collect())
    trained = Counter(row["folder_label"] for row in lake.current_images().where("folder_label IS NOT NULL").collect())
    assert set(trained.values()) == {IMAGES_OF_A_CLASS - ARRIVE_LATER}
