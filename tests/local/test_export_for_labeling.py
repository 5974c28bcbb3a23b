"""Tests of the export of images for labeling: each image is exported exactly once."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import Row
from pyspark.sql import functions as F

from components.errors import InputError
from components.export_for_labeling.component import export_for_labeling
from components.export_for_labeling.copies import WRITERS
from components.export_for_labeling.export import ExportResult, export_batch
from components.export_for_labeling.report import write_report
from components.labeling.requests import AUDIT, UNCERTAIN
from components.lake import Lake
from components.lake.tables import FILES, LABELING_REQUESTS, LABELS
from components.parameters import Choice
from components.settings import Settings
from components.storage.open_folder import open_folder
from components.succession import NO_CHAMPION, Succession
from pipelines.demo import people
from tests.support.kills import killed_export
from tests.support.kills.killed_export import COPIES_BEFORE_DEATH, Point
from tests.support.lake_rows import append_rows, replace_image
from tests.support.paths import REPOSITORY
from tests.support.scored_lake import (
    MODEL,
    NOW,
    SUCCESSION,
    insert_class,
    insert_images,
    insert_predictions,
    insert_scored,
    jpeg,
    path,
    register_champion,
    succession,
)
from tests.support.tracking import make_tracking

# Each kill starts a Spark session of its own. `make test` runs the point with the most work left, `make test-slow` all.
QUICK = (Point.AMONG_THE_COPIES,)
ALL_UNCERTAIN = Choice(fraction=1, audit_fraction=0)

Export = Callable[..., ExportResult]


@pytest.fixture
def sent_to(tmp_path: Path) -> Path:
    """The destination, a folder that does not exist yet."""
    return tmp_path / "to label"


@pytest.fixture
def run(lake: Lake, sent_to: Path) -> Export:
    def export(
        choice: Choice = ALL_UNCERTAIN, folder: Path = sent_to, succession: Succession = SUCCESSION
    ) -> ExportResult:
        return export_batch(
            lake, Settings.load(), open_folder(str(folder), "destination", Settings.load()), succession, choice
        )

    return export


def manifest(folder: Path, batch: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / batch / "manifest.jsonl").read_text().splitlines()]


def sent(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of all manifests by path, and check that each image is in one manifest and has a copy."""
    lines = [line for each in folder.glob("*/manifest.jsonl") for line in manifest(folder, each.parent.name)]
    by_path = {line["path"]: line for line in lines}
    assert len(by_path) == len(lines)
    # A killed process may leave the hidden file of an unfinished write.
    files = (file for file in folder.rglob("[!.]*") if file.is_file())
    copies = {file for file in files if file.name != "manifest.jsonl"}
    assert copies == {folder / line["batch"] / line["file"] for line in lines}
    return by_path


def copied(folder: Path) -> dict[str, bytes]:
    return {name: (folder / line["batch"] / line["file"]).read_bytes() for name, line in sent(folder).items()}


def requests(lake: Lake) -> dict[str, Row]:
    rows = lake.read(LABELING_REQUESTS).collect()
    by_path = {row["path"]: row for row in rows}
    assert len(by_path) == len(rows)
    return by_path


def request(lake: Lake, name: str, outcome: str | None = None) -> None:
    prediction = (MODEL, "1", 7, 0.5)
    closed = (outcome, NOW if outcome else None)
    row = (name, content_sha256(lake, name), "earlier", "folder", UNCERTAIN, *prediction, NOW, *closed)
    append_rows(lake, LABELING_REQUESTS, [row])


def content_sha256(lake: Lake, name: str) -> str:
    return str(lake.current_images().where(F.col("path") == name).first()["content_sha256"])


def test_uncertain_images_are_copied_with_a_manifest_and_recorded_as_requests(
    lake: Lake, run: Export, sent_to: Path, tmp_path: Path
) -> None:
    insert_class(lake, 7, "ak47")
    insert_scored(lake, {1: 0.3, 2: 0.94, 3: 0.95, 4: 0.99})
    insert_images(lake, {path(5): jpeg(5)})
    before = datetime.now(UTC)

    result = run()

    assert copied(sent_to) == {path(1): jpeg(1), path(2): jpeg(2)}
    lines = manifest(sent_to, result.batch)
    assert lines == [
        {
            "path": path(number),
            "file": f"images/{hashlib.sha256(jpeg(number)).hexdigest()[:16]}-{number:03d}.jpg",
            "predicted_label": 7,
            "name": "ak47",
            "score": pytest.approx(score),
            "reason": UNCERTAIN,
            "model_version": "1",
            "batch": result.batch,
        }
        for number, score in ((1, 0.3), (2, 0.94))
    ]
    assert (result.candidates, result.uncertain, result.count) == (4, 2, 2)
    assert result.manifest == f"file://{sent_to}/{result.batch}/manifest.jsonl"
    rows = requests(lake)
    assert rows.keys() == {path(1), path(2)}
    for row, line in zip((rows[path(1)], rows[path(2)]), lines, strict=True):
        shared = ("path", "batch", "reason", "model_version", "predicted_label")
        assert [row[column] for column in shared] == [line[column] for column in shared]
        assert (row["predicted_score"], row["service"]) == (line["score"], "folder")
        assert (row["outcome"], row["completed_at"]) == (None, None)
        assert before <= row["requested_at"].astimezone(UTC) <= datetime.now(UTC)

    write_report(result, str(tmp_path / "report.html"))
    page = (tmp_path / "report.html").read_text()
    assert all(text in page for text in (path(1), path(2), "ak47, 30.0%", result.manifest))
    assert page.count("data:image/jpeg") == 2


def test_image_is_exported_at_most_once(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.3, 2: 0.4})
    run()
    insert_scored(lake, {3: 0.5})
    insert_predictions(lake, {path(1): 0.2}, version="2")

    second, third = run(), run()

    assert [line["path"] for line in manifest(sent_to, second.batch)] == [path(3)]
    assert third.batches == []
    assert copied(sent_to) == {path(number): jpeg(number) for number in (1, 2, 3)}


def test_duplicate_content_is_exported_once(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_images(lake, {f"file:/{folder}/1.jpg": jpeg(1) for folder in "cab"})
    insert_predictions(lake, {f"file:/{folder}/1.jpg": 0.5 for folder in "cab"})

    first = run(Choice(fraction=1, audit_fraction=1))
    insert_images(lake, {"file:/0/1.jpg": jpeg(1)})
    insert_predictions(lake, {"file:/0/1.jpg": 0.5})
    second = run(Choice(fraction=1, audit_fraction=1))

    assert (first.candidates, first.count, second.candidates, second.count) == (1, 1, 0, 0)
    assert copied(sent_to) == {"file:/a/1.jpg": jpeg(1)}


def test_content_with_a_label_or_a_request_under_any_path_is_not_exported(
    lake: Lake, run: Export, sent_to: Path
) -> None:
    insert_scored(lake, dict.fromkeys(range(5), 0.5))
    insert_images(lake, {"file:/labeled/0.jpg": jpeg(0)}, label=3)
    insert_images(lake, {"file:/copy/1.jpg": jpeg(1), "file:/copy/3.jpg": jpeg(3)})
    labels = [(name, content_sha256(lake, name), 3, "people", NOW) for name in ("file:/copy/1.jpg", path(2))]
    append_rows(lake, LABELS, labels)
    request(lake, "file:/copy/3.jpg", outcome="skipped")

    result = run(Choice(fraction=1, audit_fraction=1))

    assert (result.candidates, result.count) == (1, 1)
    assert copied(sent_to) == {path(4): jpeg(4)}


def test_export_uses_the_current_prediction_and_not_the_newest(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(6)})
    old, new, newest = (NOW + timedelta(days=day) for day in range(3))
    insert_predictions(lake, {path(0): 0.5, path(1): 0.99, path(2): None, path(5): None}, "10", old)
    insert_predictions(lake, {path(0): 0.99, path(1): 0.5, path(2): 0.5, path(3): 0.5}, "9", new)
    # Withdrawn, and of another model.
    insert_predictions(lake, {path(number): 0.1 for number in range(6)}, "11", newest)
    insert_predictions(lake, {path(number): 0.1 for number in range(6)}, "10", newest, model="other")

    result = run(succession=succession("10", "9"))

    versions = {name: line["model_version"] for name, line in sent(sent_to).items()}
    assert versions == {path(0): "10", path(2): "9", path(3): "9"}
    assert (result.candidates, result.uncertain) == (4, 3)


def test_export_without_a_champion_sends_nothing(lake: Lake, run: Export) -> None:
    insert_scored(lake, {1: 0.5})

    assert run(succession=NO_CHAMPION).batches == []


@pytest.mark.slow
def test_export_of_a_fraction_excludes_the_other_uncertain_images_for_ever(
    lake: Lake, run: Export, sent_to: Path
) -> None:
    numbers = range(200)
    insert_scored(lake, dict.fromkeys(numbers, 0.5))
    tenth = Choice(fraction=0.1, audit_fraction=0, seed=1)

    first = run(tenth)
    again = run(tenth)
    chosen = sent(sent_to).keys()
    wider = run(Choice(fraction=0.3, audit_fraction=0, seed=1))

    # The limits are six standard deviations of a random sample.
    assert 0 < first.count < 20 + 26
    assert again.batches == []
    assert 0 < wider.count + first.count < 60 + 39
    assert chosen < sent(sent_to).keys()


@pytest.mark.slow
def test_choice_depends_on_seed_and_content_only(lake: Lake, tmp_path: Path) -> None:
    other = Lake(lake.spark, str(tmp_path / "other"))
    other.create()
    insert_scored(lake, dict.fromkeys(range(60), 0.5))
    insert_images(other, {f"file:/elsewhere/{number}.jpg": jpeg(number) for number in range(60)})
    insert_predictions(other, {f"file:/elsewhere/{number}.jpg": 0.4 for number in range(60)})

    def contents(source: Lake, seed: int) -> set[bytes]:
        folder = tmp_path / f"{Path(source.root).name}-{seed}"
        choice = Choice(fraction=0.4, seed=seed)
        export_batch(
            source, Settings.load(), open_folder(str(folder), "destination", Settings.load()), SUCCESSION, choice
        )
        return set(copied(folder).values())

    assert contents(lake, 1) == contents(other, 1) != contents(other, 2)


@pytest.mark.slow
def test_image_with_an_old_prediction_is_exported_only_on_request(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(3)})
    insert_predictions(lake, {path(0): 0.5, path(1): 0.5}, scored_at=NOW - timedelta(days=40))
    insert_predictions(lake, {path(2): 0.5})

    recent = run()
    older = run(Choice(fraction=1, audit_fraction=0, candidate_days=50))

    assert (recent.candidates, older.candidates) == (1, 2)
    assert [line["path"] for line in manifest(sent_to, older.batch)] == [path(0), path(1)]


@pytest.mark.slow
def test_rescored_older_image_is_a_candidate_but_no_audit(lake: Lake, run: Export, sent_to: Path) -> None:
    long_ago = NOW - timedelta(days=40)
    insert_images(lake, {path(0): jpeg(0)}, ingested_at=long_ago)
    insert_predictions(lake, {path(0): 0.5}, version="9", scored_at=long_ago)
    insert_predictions(lake, {path(0): 0.4}, version="10")

    result = run(Choice(fraction=1, audit_fraction=1), succession=succession("10", "9"))

    assert [(line["reason"], line["model_version"]) for line in sent(sent_to).values()] == [(UNCERTAIN, "10")]
    assert result.candidates == 1


@pytest.mark.slow
def test_replaced_file_is_exported_again(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.5})
    first = run()
    replace_image(lake, path(1), jpeg(2), None)
    insert_predictions(lake, {path(1): 0.5})

    second = run()

    lines = [manifest(sent_to, result.batch)[0] for result in (first, second)]
    assert [line["path"] for line in lines] == [path(1), path(1)]
    assert [(sent_to / line["batch"] / line["file"]).read_bytes() for line in lines] == [jpeg(1), jpeg(2)]


@pytest.mark.slow
def test_budget_takes_the_most_uncertain_first(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.9, 2: 0.3, 3: 0.5, 4: 0.5, 5: 0.5, 6: 0.97})
    three = Choice(budget=3, audit_fraction=0)

    batches = [run(three) for _ in range(3)]

    paths = [[line["path"] for line in manifest(sent_to, each.batch)] for each in batches if each.batch]
    assert paths == [[path(2), path(3), path(4)], [path(5), path(1)]]


def test_audit_samples_images_of_any_score(lake: Lake, run: Export, sent_to: Path) -> None:
    scores = {number: 0.5 if number % 2 else 0.99 for number in range(200)}
    insert_scored(lake, scores)

    result = run(Choice(fraction=0, audit_fraction=0.3))

    lines = sent(sent_to).values()
    assert {line["reason"] for line in lines} == {AUDIT} == {row["reason"] for row in requests(lake).values()}
    by_score = Counter(line["score"] < 0.95 for line in lines)
    assert all(0 < by_score[uncertain] < 30 + 28 for uncertain in (True, False))
    assert run(Choice(fraction=0, audit_fraction=0.3)).batches == []
    assert result.batches[0].by_reason == {AUDIT: result.count}


@pytest.mark.slow
def test_audit_is_drawn_before_and_independently_of_uncertain_images(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, dict.fromkeys(range(200), 0.5))

    result = run(Choice(fraction=0.5, audit_fraction=0.5))

    counts = result.batches[0].by_reason
    # Half of the images are audits, although all are uncertain. Half of the others are exported as uncertain.
    assert 100 - 42 < counts[AUDIT] < 100 + 42
    assert 50 - 36 < counts[UNCERTAIN] < 50 + 36


def test_export_without_candidates_writes_nothing(lake: Lake, run: Export, sent_to: Path, tmp_path: Path) -> None:
    insert_scored(lake, {1: 0.99})
    version = lake.version(LABELING_REQUESTS)

    result = run()

    assert (result.batch, result.count, result.manifest) == ("", 0, "")
    assert lake.version(LABELING_REQUESTS) == version
    assert not sent_to.exists()
    write_report(result, str(tmp_path / "report.html"))
    assert "No image was sent for labeling" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in Point]
)
def test_killed_export_is_completed_by_the_next(
    lake: Lake, run: Export, sent_to: Path, tmp_path: Path, point: Point
) -> None:
    # More than the two tasks are writing when the driver dies.
    numbers = range(COPIES_BEFORE_DEATH + 2 * WRITERS)
    insert_scored(lake, dict.fromkeys(numbers, 0.5))
    command = [sys.executable, "-m", killed_export.__name__, lake.root, str(sent_to), point]

    # Returns only after Spark and its workers, which outlive the driver, have ended.
    killed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

    assert killed.returncode == -9, killed.stderr
    copies, manifests = len(list(sent_to.rglob("*.jpg"))), len(list(sent_to.rglob("*.jsonl")))
    assert (len(requests(lake)), manifests) == {
        Point.BEFORE_THE_REQUESTS: (0, 0),
        Point.BEFORE_THE_LAST_NOTE: (len(numbers), 1),
    }.get(point, (len(numbers), 0))
    if point == Point.AMONG_THE_COPIES:
        assert COPIES_BEFORE_DEATH <= copies < len(numbers)
    else:
        assert copies == (len(numbers) if point in (Point.BEFORE_THE_MANIFEST, Point.BEFORE_THE_LAST_NOTE) else 0)

    insert_scored(lake, {len(numbers): 0.5})
    elsewhere = tmp_path / "elsewhere"
    result = run(folder=elsewhere)

    begun = point != Point.BEFORE_THE_REQUESTS
    assert [each.resumed for each in result.batches] == ([True, False] if begun else [False])
    assert result.batches[0].by_reason.total() == (len(numbers) if begun else len(numbers) + 1)
    everything = {path(number): jpeg(number) for number in range(len(numbers) + 1)}
    assert copied(sent_to) | copied(elsewhere) == everything
    assert len(copied(sent_to)) + len(copied(elsewhere)) == len(everything)
    assert requests(lake).keys() == everything.keys()
    assert run().batches == []


def test_batch_is_completed_after_its_destination_failed(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    sent_to.write_text("a file where the folder should be")
    sentence = f"destination: '{sent_to}"

    with pytest.raises(InputError, match=sentence):
        run()
    with pytest.raises(InputError, match=f"{sentence}.*must be completed there first.*export_for_labeling.json'"):
        run()
    sent_to.unlink()
    result = run()

    assert [each.resumed for each in result.batches] == [True]
    assert copied(sent_to) == {path(1): jpeg(1), path(2): jpeg(2)}


def test_image_deleted_during_an_interrupted_export_is_left_out(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    sent_to.write_text("")
    with pytest.raises(InputError):
        run()
    sent_to.unlink()
    lake.delta(FILES).delete(f"path = '{path(1)}'")

    batch = run().batches[0]

    assert copied(sent_to) == {path(2): jpeg(2)}
    assert (batch.deleted, batch.by_reason.total()) == (1, 1)


@pytest.mark.slow
def test_images_of_many_ingests_are_all_exported(lake: Lake, run: Export, sent_to: Path) -> None:
    # Local times that occur twice when summer time ends, and fractions of a second.
    times = [datetime(2026, 10, 25, 0, 30, 0, 999_999, UTC), datetime(2026, 10, 25, 1, 30, 0, 1, UTC), NOW]
    for number, time in enumerate(times):
        insert_scored(lake, {number: 0.5}, ingested_at=time)

    run()

    assert copied(sent_to) == {path(number): jpeg(number) for number in range(len(times))}


@pytest.mark.slow
def test_unusual_file_names_are_exported(lake: Lake, run: Export, sent_to: Path) -> None:
    names = ["file:/a b/ü#%41?.jpg", "s3a://bucket/no-suffix", "file:/x/" + "n" * 250 + ".jpeg", "file:/d/same.jpg"]
    images = {name: jpeg(number) for number, name in enumerate([*names, "file:/e/same.jpg"])}
    insert_images(lake, images)
    insert_predictions(lake, dict.fromkeys(images, 0.5))

    run()

    assert copied(sent_to) == images


def test_demo_can_annotate_exported_images(lake: Lake, run: Export, sent_to: Path, tmp_path: Path) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    run()
    (tmp_path / "true.csv").write_text("path,label\nfive/001.jpg,5\nsix/002.jpg,6\n")

    assert people.annotate(sent_to, tmp_path / "true.csv", tmp_path / "answers.csv") == 2


def test_component_takes_the_destination_from_the_settings(
    lake: Lake, sent_to: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.99})
    monkeypatch.setenv("IMAGE_PIPELINES_LABELING_DESTINATION", f"file://{sent_to}")
    tracking = make_tracking(tmp_path)
    monkeypatch.setenv("IMAGE_PIPELINES_MLFLOW_TRACKING_URI", tracking)
    register_champion(tracking)
    report = SimpleNamespace(path=str(tmp_path / "report.html"))

    batch, count, written = export_for_labeling.python_func(
        report=report,
        lake=lake.root,
        model_name=MODEL,
        export_options={"fraction": 1.0, "audit_fraction": 0.0},
    )

    assert (count, written) == (1, f"file://{sent_to}/{batch}/manifest.jsonl")
    assert path(1) in Path(report.path).read_text()
