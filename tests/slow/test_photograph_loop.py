"""The three pipelines on photographs: parts of scikit-learn's two, through Xception with random weights."""

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
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, QUARANTINE
from components.register_model.registry import RUN_TAG, TRAINING_SET_ID_TAG, ModelRegistry
from components.settings import Settings
from pipelines.demo import people
from pipelines.demo.folder import DemoFolder
from pipelines.generated import COMPILED
from pipelines.local_runner import LocalRun, run_compiled
from pipelines.samples.layout import ANSWERS, LABELLED, UNLABELLED, answers_csv
from tests.conftest import TRAINER_PYTHON

# Of each of the two photographs.
COLUMNS, ROWS = 5, 2
CLASSES = 2 * COLUMNS * ROWS
IMAGES_OF_A_CLASS = 250
ARRIVE_LATER = 25
SIDE = 360
# At half of Xception's usual side a run takes minutes; at 299 it takes most of half an hour for the same promises.
TRAINING: dict[str, Any] = {"backbone": "xception", "weights": "none", "image_size": 150, "epochs": 2, "ranks": 2}
SCORING: dict[str, Any] = {"threshold": 0.5, "fraction": 0.2, "audit_fraction": 0.1}


def crops(label: int) -> Iterator[bytes]:
    """Yield images of a class, which is a place in one of the photographs, each a somewhat different part of it."""
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
    """Lay the photographs out as a sample, and return the mean of their sizes in bytes."""
    (folder / UNLABELLED).mkdir(parents=True)
    answers, sizes = [], []
    for label in range(1, CLASSES + 1):
        name = f"place-{label}"
        labelled = folder / LABELLED / f"{label:03}.{name}"
        labelled.mkdir(parents=True)
        for number, content in enumerate(crops(label - 1)):
            sizes.append(len(content))
            if number < ARRIVE_LATER:
                answers.append((f"{UNLABELLED}/{label}-{number}.jpg", label, name))
                (folder / answers[-1][0]).write_bytes(content)
            else:
                (labelled / f"{number:04}.jpg").write_bytes(content)
    (folder / ANSWERS).write_bytes(answers_csv(answers))
    return sum(sizes) // len(sizes)


@pytest.mark.timeout(0)
def test_photographs_go_through_all_three_pipelines_each_once(spark: SparkSession, tmp_path: Path) -> None:
    places = DemoFolder(tmp_path)
    assert 20_000 <= make_sample(places.sample) <= 40_000
    MlflowClient(places.tracking_uri).create_experiment(Settings.load().experiment, places.artifacts)
    registry = ModelRegistry(places.tracking_uri, Settings.load().model_name)
    lake = Lake(spark, str(places.lake))

    def run(pipeline: str, **arguments: Any) -> LocalRun:
        environment = places.environment(TRAINER_PYTHON)
        return run_compiled(COMPILED / f"{pipeline}.yaml", arguments, places.runs, environment, places.log(pipeline))

    def once(table: Table) -> int:
        rows = lake.read(table).select("path").collect()
        assert len(rows) == len({row["path"] for row in rows})
        return len(rows)

    run("training", source=str(places.sample / LABELLED), **TRAINING)
    run("scoring", source=str(places.sample / UNLABELLED), **SCORING)
    sent = people.answer(places.to_label, places.sample / ANSWERS, places.labels)
    run("labeling", source=str(places.labels), **TRAINING)
    again = run("scoring", source=str(places.sample / UNLABELLED), **SCORING)

    client = MlflowClient(places.tracking_uri)
    for version in ("1", "2"):
        trained_with = client.get_run(registry.version(version).tags[RUN_TAG]).data.params
        assert (trained_with["backbone"], trained_with["weights"]) == ("xception", "none")
    assert once(IMAGES) == CLASSES * IMAGES_OF_A_CLASS
    assert once(QUARANTINE) == 0
    assert once(PREDICTIONS) == CLASSES * ARRIVE_LATER
    assert once(LABELING_REQUESTS) == once(LABELS) == sent > 0
    assert registry.version("2").tags[TRAINING_SET_ID_TAG] != registry.version("1").tags[TRAINING_SET_ID_TAG]
    assert again.tasks["ingest-images"].outputs["found"] == again.tasks["score-images"].outputs["scored"] == 0
    with (places.sample / ANSWERS).open(newline="") as file:
        true = {f"file:{places.sample / row['path']}": int(row["label"]) for row in csv.DictReader(file)}
    assert all(true[row["path"]] == row["label"] for row in lake.read(LABELS).collect())
    trained = Counter(row["label"] for row in lake.read(IMAGES).where("label IS NOT NULL").select("label").collect())
    assert set(trained.values()) == {IMAGES_OF_A_CLASS - ARRIVE_LATER}
