"""The current code continues with a lake of release 0.1.0."""

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from components.build_training_set.build import build_training_set
from components.errors import InputError
from components.export_for_labeling.export import export_batch
from components.import_labels.import_annotations import import_into
from components.ingest_images.ingest import ingest_folder
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import CLASSES, IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, TABLES, Table
from components.parameters import Choice
from components.registry.champion import read_succession, replace_champion, require_champion
from components.registry.model_registry import ModelRegistry, RegisteredVersion
from components.registry.tags import DIGEST_TAG, TRAINING_SET_URI_TAG
from components.score_images.score import score_lake
from components.settings import Settings
from components.storage.files import Files
from components.storage.open_folder import open_folder
from components.succession import ModelVersion, Succession
from components.training_set.manifest import TrainingSet
from components.training_set.new_labels import count_new_labels
from tests.support.earlier_lake import unpack_lake_of_0_1_0
from tests.support.saved_model_factory import log_classifier, random_classifier
from tests.support.scored_lake import jpeg
from tests.support.tracking import make_tracking

MODEL = "image-classifier"


@pytest.fixture(scope="module")
def unchanged(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The migrated lake, for tests that write nothing."""
    lake = Lake(spark, str(unpack_lake_of_0_1_0(tmp_path_factory.mktemp("earlier")).lake))
    lake.update()
    return lake


def count_values(lake: Lake, table: Table, column: str) -> Counter[object]:
    return Counter(row[column] for row in lake.read(table).select(column).collect())


def test_each_table_of_the_earlier_lake_has_its_rows(unchanged: Lake) -> None:
    assert {table.name: unchanged.read(table).count() for table in TABLES} == {
        "files": 89,
        "images": 90,
        "classes": 5,
        "annotations": 9,
        "labels": 5,
        "predictions": 54,
        "promotions": 0,
        "labeling_requests": 32,
        "segments": 0,
        "evaluations": 0,
        "groups": 0,
        "forgotten_contents": 0,
    }
    assert count_values(unchanged, IMAGES, "reason") == {
        None: 82,
        "not an image": 2,
        "empty file": 1,
        "more than 4096 pixels": 1,
        "more than 20000 bytes": 1,
        "can't be decoded: jpeg::Uncompress failed. Invalid JPEG data or crop window": 1,
        "another content at a known path": 1,
        "vanished between listing and reading": 1,
    }
    assert count_values(unchanged, PREDICTIONS, "model_version") == {"1": 21, "2": 33}
    assert unchanged.read(PREDICTIONS).where("error IS NOT NULL").count() == 1
    assert {row["name"]: row["replaced_by"] for row in unchanged.read(CLASSES).collect()} == {
        "cat": None,
        "dog": None,
        "hound": 2,
        "badger": None,
        "puppy": 2,
    }


def test_the_view_of_the_earlier_lake_has_effective_labels_and_current_predictions(unchanged: Lake) -> None:
    view = unchanged.image_data(Succession(MODEL, (ModelVersion("2", "b"), ModelVersion("1", "a"))))
    assert Counter(row["label"] for row in view.select("label").collect()) == {None: 33, 1: 16, 2: 32, 1000: 1}
    assert Counter(row["model_version"] for row in view.select("model_version").collect()) == {
        None: 46,
        "1": 4,
        "2": 32,
    }


def test_a_training_set_of_the_earlier_lake_is_built_again_and_its_labels_count_as_learned(unchanged: Lake) -> None:
    manifests = sorted(Path(unchanged.root.removeprefix("file://")).glob("training_sets/*/manifest.json"))
    earlier = [f"file://{manifest.parent}" for manifest in manifests]
    assert len(earlier) == 2
    for training_set in earlier:
        with pytest.raises(InputError, match=r"is of an earlier release\. Run build_training_set again\.$"):
            TrainingSet.read(training_set, Files())

    built = build_training_set(unchanged).training_set

    columns = ["path", "content_sha256", "label", "label_source", "split"]
    sets = [
        sorted(tuple(row.values()) for row in pq.read_table(f"{uri}/members.parquet", columns=columns).to_pylist())
        for uri in [each.removeprefix("file://") for each in (built.uri, *earlier)]
    ]
    assert sets[0] in sets[1:]
    models = [RegisteredVersion(MODEL, "1", "", "", "", {TRAINING_SET_URI_TAG: uri}) for uri in earlier]
    assert min(count_new_labels(unchanged, model) for model in models) == 0


@pytest.mark.slow
def test_each_step_continues_with_the_earlier_lake(spark: SparkSession, tmp_path: Path) -> None:
    earlier = unpack_lake_of_0_1_0(tmp_path / "earlier")
    # As if the release had run here.
    for name in ("images", "quarantine", "annotations", "labels", "predictions", "labeling_requests"):
        here = f"replace(path, 'file:/data/', 'file:{earlier.folder}/')"
        spark.sql(f"UPDATE delta.`{earlier.lake / name}` SET path = {here}")
    lake = Lake(spark, str(earlier.lake))
    lake.update()
    settings = Settings.load(lake=lake.root)
    tracking = make_tracking(tmp_path)
    registry = ModelRegistry(tracking, MODEL)
    model = log_classifier(tracking, tmp_path / "artifacts", random_classifier([1, 2, 3, 1000], seed=3))
    for _ in ("1", "2"):
        replace_champion(
            registry, registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest}).version
        )
    champion = require_champion(registry)

    # The checkpoints of the streams are valid: only new files are read.
    new = [earlier.arriving / f"new {number}.jpg" for number in range(3)]
    for number, file in enumerate(new):
        file.write_bytes(jpeg(number))
    ingested = ingest_folder(lake, f"file://{earlier.arriving}", labeled=False)
    assert (ingested.found, ingested.ingested) == (3, 3)
    assert score_lake(lake, registry, champion).scored == 3

    destination = open_folder(str(earlier.exported), "destination", settings)
    everything = Choice(threshold=1, fraction=1, audit_fraction=0)
    exported = export_batch(lake, settings, destination, read_succession(registry, champion), everything)
    manifest = Path(exported.manifest.removeprefix("file://"))
    requested = [json.loads(line)["path"] for line in manifest.read_text().splitlines()]
    assert {f"file:{file}" for file in new} <= set(requested)

    # An open request of the earlier lake, and a new one.
    open_requests = lake.read(LABELING_REQUESTS).where("outcome IS NULL")
    before = open_requests.where(f"batch != '{exported.batch}'").select("path").first()[0]
    rows = [{"path": path, "name": "badger", "annotation_id": path} for path in (before, f"file:{new[0]}")]
    (earlier.annotations / "export-3.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    count = open_requests.count()
    labels = lake.read(LABELS).count()
    imported = import_into(lake, registry, open_source(str(earlier.annotations), settings))
    # The file with an unknown image is read again.
    assert (imported.files, imported.imported, imported.unchanged_files) == (2, 2, 1)
    assert lake.read(LABELS).count() == labels + 2
    assert lake.read(LABELING_REQUESTS).where("outcome IS NULL").count() == count - 2
