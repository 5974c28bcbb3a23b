"""Tests of the whole loop on each store: all folders and the lake are URIs of the store."""

import csv
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from pyspark.sql import SparkSession

from components.build_training_set.build import build
from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, EvaluationResult, evaluate
from components.export_for_labeling.export import ExportResult, export
from components.import_labels.import_annotations import ImportResult, import_annotations
from components.ingest_images.ingest import IngestResult, ingest
from components.ingest_images.status import UNLABELED as UNLABELED_KIND
from components.ingest_images.status import IngestStatus
from components.lake import Lake
from components.lake.tables import CLASSES, IMAGES, LABELS
from components.parameters import Choice
from components.register_model.register import Candidate, register
from components.score_images.score import ScoreResult, score
from components.settings import Settings
from components.storage.files import Files
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import train
from components.training_set.manifest import SplitName, TrainingSet
from pipelines.query.lake_query import query
from tests.services import class_writer
from tests.services.class_writer import write
from tests.support.lake_stores import LAKE_STORES, LakeStore
from tests.support.paths import TRAINER_PYTHON
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits

# Characters that file systems and object stores allow, but that are special in URLs and shells.
FOLDER = "images/Bilder für 'heute' (1) 50%25 +"
DIGITS = digits(46)
LABELED = {f"labeled/{label:03}.drei é/{number} ü#.jpg": content for number, (content, label) in enumerate(DIGITS[:40])}
UNLABELED = {f"arriving/{number} ü#.jpg": content for number, (content, _) in enumerate(DIGITS[40:])}
COMMITS = 5
BAD = {"arriving/broken.jpg": b"no image", "arriving/empty.jpg": b""}


@dataclass
class Loop:
    """The results of the tasks in an installation on a store.

    Attributes:
        root: URI of the folder with the lake and all other folders.
    """

    root: str
    settings: Settings
    lake: Lake
    labeled: IngestResult
    arriving: IngestResult
    training_set: TrainingSet
    trained: tuple[TrainingRequest, TrainingResult]
    evaluated: EvaluationResult
    scored: ScoreResult
    exported: ExportResult
    imported: ImportResult


@pytest.fixture(scope="module")
def root(lake_store: LakeStore) -> str:
    """URI of the folder with the lake and all other folders."""
    return f"{lake_store.scheme}://{FOLDER}"


@pytest.fixture(scope="module")
def settings(lake_store: LakeStore, root: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of an installation on a store, which are also set in the environment of each task."""
    folder = tmp_path_factory.mktemp("installation")
    environment = {
        **lake_store.environment,
        "IMAGE_PIPELINES_LAKE": f"{root}/lake",
        "IMAGE_PIPELINES_LOCK": str(folder / "locks"),
        "IMAGE_PIPELINES_MLFLOW_TRACKING_URI": make_tracking(folder),
        "IMAGE_PIPELINES_TRAINER_PYTHON": str(TRAINER_PYTHON),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        lake_store.make_bucket("images")
        yield Settings.load()


@pytest.fixture(scope="module")
def loop(spark: SparkSession, settings: Settings, root: str) -> Loop:
    """Run the tasks of the loop once."""
    files = Files.of(settings)
    for path, content in (LABELED | UNLABELED | BAD).items():
        files.write_bytes(f"{root}/{path}", content)
    labeled = ingest(settings, f"{root}/labeled")
    training_set = build(settings).training_set
    trained = train(settings, training_set.uri, backbone="small", image_size=16, epochs=1, learning_rate=0.002, ranks=2)
    model = trained[1].run_id, trained[1].model_uri, trained[1].model_digest
    evaluated = evaluate(settings, training_set.uri, Challenger(*model))
    register(settings, Candidate(*model, training_set.uri, evaluated.challenger.accuracy, True, "", ""))
    arriving = ingest(settings, f"{root}/arriving", labeled=False)
    scored = score(settings)
    exported = export(settings, f"{root}/to label", Choice(threshold=1, fraction=1, audit_fraction=0))
    annotate(exported, files, root)
    imported = import_annotations(settings, f"{root}/annotations")
    lake = Lake.open(spark, settings)
    return Loop(root, settings, lake, labeled, arriving, training_set, trained, evaluated, scored, exported, imported)


def manifest(exported: ExportResult, files: Files) -> list[dict[str, str]]:
    return [json.loads(line) for line in files.read_text(exported.manifest).splitlines()]


def annotate(exported: ExportResult, files: Files, root: str) -> None:
    """Write annotations that give all exported images the class 3."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("path", "label"))
    writer.writerows((line["path"], 3) for line in manifest(exported, files))
    files.write_text(f"{root}/annotations/from people.csv", text.getvalue())


@pytest.mark.slow
def test_each_file_is_in_images_or_in_quarantine_once(loop: Loop) -> None:
    stored = query(loop.lake, "SELECT path, source_sha256 FROM images WHERE reason IS NULL").rows
    refused = query(loop.lake, "SELECT path FROM quarantine").rows

    expected = {
        f"{loop.root}/{path}": hashlib.sha256(content).hexdigest() for path, content in (LABELED | UNLABELED).items()
    }
    assert sorted(stored) == sorted(expected.items())
    assert sorted(refused) == sorted((f"{loop.root}/{path}",) for path in BAD)
    assert (loop.labeled.found, loop.arriving.found) == (len(LABELED), len(UNLABELED) + len(BAD))


@pytest.mark.slow
def test_second_run_finds_nothing_new(loop: Loop) -> None:
    assert ingest(loop.settings, f"{loop.root}/arriving", labeled=False).found == 0
    assert score(loop.settings).scored == 0
    last = IngestStatus.read(loop.lake.root, UNLABELED_KIND, loop.lake.files)
    assert last is not None
    assert last.found == 0


@pytest.mark.slow
def test_two_ranks_train_on_each_image_and_write_a_checkpoint(loop: Loop) -> None:
    request, result = loop.trained
    assert loop.training_set.uri.startswith(f"{loop.root}/lake/training_sets/")
    assert sum(loop.training_set.counts.values()) == len(LABELED)
    assert {each.images for each in result.history} == {loop.training_set.counts[SplitName.TRAIN]}
    assert {"epoch-00001.npz", "result.json"} <= set(loop.lake.files.list_names(request.run_directory))


@pytest.mark.slow
def test_finished_training_is_not_repeated(loop: Loop) -> None:
    class NoLauncher:
        def launch(self, request_uri: str, ranks: int) -> None:
            raise AssertionError("it was run again")

        def clean_up(self, request_uri: str) -> bool:
            return True

    parameters = loop.trained[0].hyperparameters
    assert train(loop.settings, loop.training_set.uri, NoLauncher(), **parameters) == loop.trained


@pytest.mark.slow
def test_model_is_evaluated_on_all_test_images(loop: Loop) -> None:
    assert loop.evaluated.challenger.total == loop.training_set.counts[SplitName.TEST]


@pytest.mark.slow
def test_scored_images_are_exported_and_their_labels_imported(loop: Loop) -> None:
    assert loop.scored.scored == len(UNLABELED)
    sent = {line["path"]: line["file"] for line in manifest(loop.exported, loop.lake.files)}
    folder = loop.exported.manifest.rpartition("/")[0]
    unlabeled = {f"{loop.root}/{path}": content for path, content in UNLABELED.items()}
    assert {path: loop.lake.files.read_bytes(f"{folder}/{file}") for path, file in sent.items()} == unlabeled
    labels = {row["path"]: row["label"] for row in loop.lake.read(LABELS).collect()}
    assert labels == dict.fromkeys(unlabeled, 3)
    assert loop.imported.rejected == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("LAKE", "{scheme}://no-such-bucket/lake", r"'{scheme}://no-such-bucket/lake': bucket or container not found"),
        ("LAKE", "{scheme}://", r"lake: '{scheme}://' does not name a bucket"),
        ("LOCK", "", r"lock: not set, but the lake '{scheme}://images/.*' needs a lock"),
    ],
)
def test_misconfigured_store_raises_one_sentence(
    loop: Loop, lake_store: LakeStore, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"IMAGE_PIPELINES_{name}", value.format(scheme=lake_store.scheme))

    with pytest.raises(InputError, match=f"^{sentence.format(scheme=lake_store.scheme)}"):
        ingest(Settings.load(), f"{loop.root}/labeled")


@pytest.mark.slow
def test_concurrent_writers_of_one_table_lose_no_commit(loop: Loop) -> None:
    before = loop.lake.version(CLASSES)
    command = [sys.executable, "-m", class_writer.__name__, "1000", str(COMMITS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert "ready\n" in iter(other.stdout.readline, "")
        assert other.stdin is not None
        other.stdin.write("go\n")
        other.stdin.flush()
        write(loop.lake, 2000, COMMITS)
    assert other.returncode == 0

    written = dict(loop.lake.read(CLASSES).select("label", "_metadata.file_modification_time").collect())
    assert written.keys() >= {*range(1000, 1000 + COMMITS), *range(2000, 2000 + COMMITS)}
    theirs, ours = ([written[first + each] for each in range(COMMITS)] for first in (1000, 2000))
    assert theirs[1] < ours[-1]
    assert ours[0] < theirs[-1]
    assert loop.lake.version(CLASSES) == before + 2 * COMMITS


# The other tests are slow. In `make test`, test_store_outages has a lake on S3.
@pytest.mark.parametrize("lake_store", [each for each in LAKE_STORES if each != "s3"], indirect=True)
def test_new_lake_has_the_ingested_image(spark: SparkSession, settings: Settings, lake_store: LakeStore) -> None:
    lake_store.make_bucket("new")
    bucket = f"{lake_store.scheme}://new"
    content, _ = DIGITS[0]
    Files.of(settings).write_bytes(f"{bucket}/landing/003.drei é/1 ü#.jpg", content)

    elsewhere = settings.model_copy(update={"lake": f"{bucket}/a lake"})
    result = ingest(elsewhere, f"{bucket}/landing")

    assert (result.found, result.ingested) == (1, 1)
    stored = [(row["path"], bytes(row["content"])) for row in Lake.open(spark, elsewhere).read(IMAGES).collect()]
    assert stored == [(f"{bucket}/landing/003.drei é/1 ü#.jpg", content)]
