"""The whole loop on an S3 server: landing folders, lake, training, destination and answers are all `s3a://` URIs."""

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
from components.build_training_set.training_set import SplitName, TrainingSet
from components.errors import InputError
from components.evaluate_classifier.evaluate import Challenger, EvaluationResult, evaluate
from components.export_for_labeling.choice import Choice
from components.export_for_labeling.export import ExportResult, export
from components.import_labels.import_answers import ImportResult, import_answers
from components.ingest_images.ingest import IngestResult, ingest
from components.lake import Lake
from components.lake.tables import CLASSES, IMAGES, LABELS
from components.notify.last_ingest import read_last_ingest
from components.register_model.register import Candidate, register
from components.score_images.score import ScoreResult, score
from components.settings import Settings
from components.storage import files
from components.train_classifier.request import TrainingRequest, TrainingResult
from components.train_classifier.train import train
from pipelines.query import query
from tests.conftest import TRAINER_PYTHON
from tests.local.training_set_factory import digits
from tests.services.s3_writer import write
from tests.services.servers import S3Server

# What file systems and object stores allow, and URLs and shells mind.
ROOT = "s3a://images/Bilder für 'heute' (1) 50%25 +"
DIGITS = digits(46)
LABELLED = {
    f"{ROOT}/labelled/{label:03}.drei é/{number} ü#.jpg": content for number, (content, label) in enumerate(DIGITS[:40])
}
UNLABELLED = {f"{ROOT}/arriving/{number} ü#.jpg": content for number, (content, _) in enumerate(DIGITS[40:])}
COMMITS = 5
BAD = {f"{ROOT}/arriving/broken.jpg": b"no image", f"{ROOT}/arriving/empty.jpg": b""}


@dataclass
class Loop:
    """What ran in an installation on S3."""

    settings: Settings
    lake: Lake
    labelled: IngestResult
    arriving: IngestResult
    training_set: TrainingSet
    trained: tuple[TrainingRequest, TrainingResult]
    evaluated: EvaluationResult
    scored: ScoreResult
    exported: ExportResult
    imported: ImportResult


@pytest.fixture(scope="module")
def settings(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings of an installation on S3, which each task finds in its environment."""
    folder = tmp_path_factory.mktemp("installation")
    environment = {
        **s3.environment,
        "IMAGE_PIPELINES_LAKE": f"{ROOT}/lake",
        "IMAGE_PIPELINES_LOCK": str(folder / "locks"),
        "IMAGE_PIPELINES_MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "IMAGE_PIPELINES_TRAINER_PYTHON": str(TRAINER_PYTHON),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3.make_bucket("images")
        yield Settings.load()


@pytest.fixture(scope="module")
def loop(spark: SparkSession, settings: Settings) -> Loop:
    """Once around."""
    for path, content in (LABELLED | UNLABELLED | BAD).items():
        files.write_bytes(path, content)
    labelled = ingest(settings, f"{ROOT}/labelled")
    training_set = build(settings, 2).training_set
    trained = train(settings, training_set.uri, backbone="small", image_size=16, epochs=1, learning_rate=0.002, ranks=2)
    model = trained[1].run_id, trained[1].model_uri, trained[1].model_digest
    evaluated = evaluate(settings, training_set.uri, Challenger(*model))
    register(settings, Candidate(*model, training_set.uri, evaluated.challenger.accuracy, True, "", ""))
    arriving = ingest(settings, f"{ROOT}/arriving", labelled=False)
    scored = score(settings)
    exported = export(settings, f"{ROOT}/to label", Choice(threshold=1, fraction=1, audit_fraction=0))
    answer(exported)
    imported = import_answers(settings, f"{ROOT}/answers")
    lake = Lake.open(spark, settings)
    return Loop(settings, lake, labelled, arriving, training_set, trained, evaluated, scored, exported, imported)


def manifest(exported: ExportResult) -> list[dict[str, str]]:
    return [json.loads(line) for line in files.read_text(exported.manifest).splitlines()]


def answer(exported: ExportResult) -> None:
    """Say that all images that were exported show a 3."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("path", "label"))
    writer.writerows((line["path"], 3) for line in manifest(exported))
    files.write_text(f"{ROOT}/answers/from people.csv", text.getvalue())


def test_each_file_is_in_images_or_in_quarantine_once(loop: Loop) -> None:
    stored = query(loop.lake, "SELECT path, content_sha256 FROM images").rows
    refused = query(loop.lake, "SELECT path FROM quarantine").rows

    expected = {path: hashlib.sha256(content).hexdigest() for path, content in (LABELLED | UNLABELLED).items()}
    assert sorted(stored) == sorted(expected.items())
    assert sorted(refused) == sorted((path,) for path in BAD)
    assert (loop.labelled.found, loop.arriving.found) == (len(LABELLED), len(UNLABELLED) + len(BAD))


def test_a_second_run_finds_nothing_new(loop: Loop) -> None:
    assert ingest(loop.settings, f"{ROOT}/arriving", labelled=False).found == 0
    assert score(loop.settings).scored == 0
    last = read_last_ingest(loop.settings, "unlabelled")
    assert last is not None
    assert last.found == 0


def test_two_ranks_train_on_each_image_and_leave_a_checkpoint(loop: Loop) -> None:
    request, result = loop.trained
    assert loop.training_set.uri.startswith(f"{ROOT}/lake/training_sets/")
    assert sum(loop.training_set.counts.values()) == len(LABELLED)
    assert {each.images for each in result.history} == {loop.training_set.counts[SplitName.TRAIN]}
    assert {"epoch-00001.npz", "result.json"} <= set(files.list_names(request.run_directory))


def test_a_finished_training_is_not_run_again(loop: Loop) -> None:
    class NoLauncher:
        def launch(self, request_uri: str, ranks: int) -> None:
            raise AssertionError("it was run again")

    parameters = loop.trained[0].hyperparameters
    assert train(loop.settings, loop.training_set.uri, NoLauncher(), **parameters) == loop.trained


def test_the_model_is_evaluated_on_all_test_images(loop: Loop) -> None:
    assert loop.evaluated.challenger.total == loop.training_set.counts[SplitName.TEST]


def test_what_is_scored_goes_to_people_and_their_labels_come_back(loop: Loop) -> None:
    assert loop.scored.scored == len(UNLABELLED)
    sent = {line["path"]: line["file"] for line in manifest(loop.exported)}
    folder = loop.exported.manifest.rpartition("/")[0]
    assert {path: files.read_bytes(f"{folder}/{file}") for path, file in sent.items()} == UNLABELLED
    labels = {row["path"]: row["label"] for row in loop.lake.read(LABELS).collect()}
    assert labels == dict.fromkeys(UNLABELLED, 3)
    assert loop.imported.rejected == []


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("S3_SECRET_KEY", "wrong", r"'s3a://images/.*': access is refused\. Check s3_endpoint, s3_access_key and"),
        ("LAKE", "s3a://no-such-bucket/lake", r"'s3a://no-such-bucket/lake': there is no such bucket"),
        ("LAKE", "s3a://", r"lake: 's3a://' names no bucket"),
        ("LOCK", "", r"lock: not set, and writers of 's3a://images/.*' can't be kept apart"),
    ],
)
def test_what_is_wrong_with_the_store_is_one_sentence(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"IMAGE_PIPELINES_{name}", value)

    with pytest.raises(InputError, match=f"^{sentence}"):
        ingest(Settings.load(), f"{ROOT}/labelled")


def test_a_lake_that_may_only_be_read_is_named(loop: Loop, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = loop.lake.version(IMAGES)
    monkeypatch.setenv("IMAGE_PIPELINES_S3_ACCESS_KEY", s3.reader_access_key)
    monkeypatch.setenv("IMAGE_PIPELINES_S3_SECRET_KEY", s3.reader_secret_key)

    with pytest.raises(InputError, match=r"^'s3a://images/.*/lake/_status/writable': access is refused\. .* writing"):
        ingest(Settings.load(), f"{ROOT}/labelled")
    assert loop.lake.version(IMAGES) == before


def test_no_commit_is_lost_when_two_processes_write_one_table_at_once(loop: Loop) -> None:
    before = loop.lake.version(CLASSES)
    command = [sys.executable, "-m", "tests.services.s3_writer", "1000", str(COMMITS)]
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


def test_the_keys_are_in_no_configuration_that_spark_shows(loop: Loop, s3: S3Server) -> None:
    spark = loop.lake.spark
    shown = str(spark.sparkContext.getConf().getAll()) + str(spark.conf.getAll)

    assert s3.url not in shown
    assert s3.secret_key not in shown


@pytest.mark.usefixtures("settings")
def test_files_are_found_at_any_depth_and_known_for_new_when_written_anew() -> None:
    for name in ("a.csv", "deep/er/b.csv"):
        files.write_bytes(f"{ROOT}/exports/{name}", b"one")
    before = files.find(f"{ROOT}/exports")

    files.write_bytes(f"{ROOT}/exports/a.csv", b"two")
    after = files.find(f"{ROOT}/exports")

    assert before.keys() == after.keys() == {"a.csv", "deep/er/b.csv"}
    assert [before[name].version == after[name].version for name in sorted(before)] == [False, True]
    assert after["a.csv"] == files.status(f"{ROOT}/exports/a.csv")
    assert files.find(f"{ROOT}/nothing") == {}
