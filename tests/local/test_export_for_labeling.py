"""Export: the images that people should label are sent to a folder, each once."""

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

from components.errors import InputError
from components.export_for_labeling.choice import AUDIT, DOUBTFUL, Choice
from components.export_for_labeling.component import export_for_labeling
from components.export_for_labeling.copies import WRITERS
from components.export_for_labeling.destinations import Folder
from components.export_for_labeling.export import ExportResult, export_batch
from components.export_for_labeling.report import write_report
from components.lake import Lake, frame
from components.lake.tables import IMAGES, LABELING_REQUESTS, LABELS
from components.settings import Settings
from pipelines.demo import people
from tests.local import killed_export
from tests.local.killed_export import COPIES_BEFORE_DEATH, Point
from tests.local.scored_lake import (
    NOW,
    insert_class,
    insert_images,
    insert_predictions,
    insert_scored,
    jpeg,
    path,
)

# Each death costs a Spark of its own: make test has the two with most left to do, make test-slow all of them.
QUICK = (Point.AMONG_THE_COPIES, Point.BEFORE_THE_LAST_NOTE)
ALL_DOUBTFUL = Choice(fraction=1, audit_fraction=0)

Export = Callable[..., ExportResult]


@pytest.fixture
def sent_to(tmp_path: Path) -> Path:
    """The folder that images are sent to; it does not exist yet."""
    return tmp_path / "to label"


@pytest.fixture
def run(lake: Lake, sent_to: Path) -> Export:
    def export(choice: Choice = ALL_DOUBTFUL, folder: Path = sent_to) -> ExportResult:
        return export_batch(lake, Settings.load(), Folder(f"file://{folder}"), choice)

    return export


def manifest(folder: Path, batch: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / batch / "manifest.jsonl").read_text().splitlines()]


def sent(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the lines of all manifests by path; each image is in one of them, and its copy is what the lake has."""
    lines = [line for each in folder.glob("*/manifest.jsonl") for line in manifest(folder, each.parent.name)]
    by_path = {line["path"]: line for line in lines}
    assert len(by_path) == len(lines)
    copies = {copy for copy in folder.rglob("*") if copy.is_file() and copy.name != "manifest.jsonl"}
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
    row = (name, "earlier", "folder", DOUBTFUL, "1", 7, 0.5, NOW, outcome, NOW if outcome else None)
    lake.insert_new(LABELING_REQUESTS, frame(lake.spark, [row], LABELING_REQUESTS.columns))


def test_doubtful_images_are_copied_with_a_manifest_and_recorded_as_requests(
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
            "reason": DOUBTFUL,
            "model_version": "1",
            "batch": result.batch,
        }
        for number, score in ((1, 0.3), (2, 0.94))
    ]
    assert (result.candidates, result.doubtful, result.count) == (4, 2, 2)
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
    assert all(text in page for text in (path(1), path(2), "ak47, 30.0% (doubtful)", result.manifest))
    assert page.count("data:image/jpeg") == 2


def test_an_image_is_never_sent_twice(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.3, 2: 0.4})
    run()
    insert_scored(lake, {3: 0.5})
    insert_predictions(lake, {path(1): 0.2}, version="2")

    second, third = run(), run()

    assert [line["path"] for line in manifest(sent_to, second.batch)] == [path(3)]
    assert third.batches == []
    assert copied(sent_to) == {path(number): jpeg(number) for number in (1, 2, 3)}


def test_one_content_under_two_paths_is_sent_once(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_images(lake, {f"file:/{folder}/1.jpg": jpeg(1) for folder in "cab"})
    insert_predictions(lake, {f"file:/{folder}/1.jpg": 0.5 for folder in "cab"})

    first = run(Choice(fraction=1, audit_fraction=1))
    insert_images(lake, {"file:/0/1.jpg": jpeg(1)})
    insert_predictions(lake, {"file:/0/1.jpg": 0.5})
    second = run(Choice(fraction=1, audit_fraction=1))

    assert (first.candidates, first.count, second.candidates, second.count) == (1, 1, 0, 0)
    assert copied(sent_to) == {"file:/a/1.jpg": jpeg(1)}


def test_content_that_has_a_label_or_a_request_anywhere_is_not_sent(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, dict.fromkeys(range(5), 0.5))
    insert_images(lake, {"file:/labelled/0.jpg": jpeg(0)}, label=3)
    insert_images(lake, {"file:/copy/1.jpg": jpeg(1), "file:/copy/3.jpg": jpeg(3)})
    labels = [(name, 3, "people", NOW) for name in ("file:/copy/1.jpg", path(2))]
    lake.insert_new(LABELS, frame(lake.spark, labels, LABELS.columns))
    request(lake, "file:/copy/3.jpg", outcome="skipped")

    result = run(Choice(fraction=1, audit_fraction=1))

    assert (result.candidates, result.count) == (1, 1)
    assert copied(sent_to) == {path(4): jpeg(4)}


def test_the_newest_prediction_that_is_no_error_decides(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in range(4)})
    old, new, newest = (NOW + timedelta(days=day) for day in range(3))
    insert_predictions(lake, {path(0): 0.5, path(1): 0.99, path(2): 0.5, path(3): None}, "10", old)
    insert_predictions(lake, {path(0): 0.99, path(1): 0.5}, "9", new)
    insert_predictions(lake, {path(2): None}, "11", newest)

    result = run()

    assert {name: line["model_version"] for name, line in sent(sent_to).items()} == {path(1): "9", path(2): "10"}
    assert (result.candidates, result.doubtful) == (3, 2)


def test_a_fraction_of_the_doubtful_is_sent_and_the_rest_stays_out_for_ever(
    lake: Lake, run: Export, sent_to: Path
) -> None:
    numbers = range(200)
    insert_scored(lake, dict.fromkeys(numbers, 0.5))
    tenth = Choice(fraction=0.1, audit_fraction=0, seed=1)

    first = run(tenth)
    again = run(tenth)
    chosen = sent(sent_to).keys()
    wider = run(Choice(fraction=0.3, audit_fraction=0, seed=1))

    # Six standard deviations of a fair choice.
    assert 0 < first.count < 20 + 26
    assert again.batches == []
    assert 0 < wider.count + first.count < 60 + 39
    assert chosen < sent(sent_to).keys()


def test_the_choice_depends_on_seed_and_content_only(lake: Lake, tmp_path: Path) -> None:
    other = Lake(lake.spark, str(tmp_path / "other"))
    other.create()
    insert_scored(lake, dict.fromkeys(range(60), 0.5))
    insert_images(other, {f"file:/elsewhere/{number}.jpg": jpeg(number) for number in range(60)})
    insert_predictions(other, {f"file:/elsewhere/{number}.jpg": 0.4 for number in range(60)})

    def contents(source: Lake, seed: int) -> set[bytes]:
        folder = tmp_path / f"{Path(source.root).name}-{seed}"
        export_batch(source, Settings.load(), Folder(f"file://{folder}"), Choice(fraction=0.4, seed=seed))
        return set(copied(folder).values())

    assert contents(lake, 1) == contents(other, 1) != contents(other, 2)


def test_a_budget_takes_the_most_doubtful_first(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.9, 2: 0.3, 3: 0.5, 4: 0.5, 5: 0.5, 6: 0.97})
    three = Choice(budget=3, audit_fraction=0)

    batches = [run(three) for _ in range(3)]

    paths = [[line["path"] for line in manifest(sent_to, each.batch)] for each in batches if each.batch]
    assert paths == [[path(2), path(3), path(4)], [path(5), path(1)]]


def test_an_audit_is_a_sample_whatever_the_score(lake: Lake, run: Export, sent_to: Path) -> None:
    scores = {number: 0.5 if number % 2 else 0.99 for number in range(200)}
    insert_scored(lake, scores)

    result = run(Choice(fraction=0, audit_fraction=0.3))

    lines = sent(sent_to).values()
    assert {line["reason"] for line in lines} == {AUDIT} == {row["reason"] for row in requests(lake).values()}
    by_score = Counter(line["score"] < 0.95 for line in lines)
    assert all(0 < by_score[doubtful] < 30 + 28 for doubtful in (True, False))
    assert run(Choice(fraction=0, audit_fraction=0.3)).batches == []
    assert result.batches[0].by_reason == {AUDIT: result.count}


def test_audits_are_chosen_before_and_independently_of_the_doubtful(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, dict.fromkeys(range(200), 0.5))

    result = run(Choice(fraction=0.5, audit_fraction=0.5))

    counts = result.batches[0].by_reason
    # Of the audited half, the doubtful ones are no less audits; of the other half, half is sent.
    assert 100 - 42 < counts[AUDIT] < 100 + 42
    assert 50 - 36 < counts[DOUBTFUL] < 50 + 36


def test_nothing_to_send_leaves_all_as_it_was(lake: Lake, run: Export, sent_to: Path, tmp_path: Path) -> None:
    insert_scored(lake, {1: 0.99})
    version = lake.version(LABELING_REQUESTS)

    result = run()

    assert (result.batch, result.count, result.manifest) == ("", 0, "")
    assert lake.version(LABELING_REQUESTS) == version
    assert not sent_to.exists()
    write_report(result, str(tmp_path / "report.html"))
    assert "There was nothing to send" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "point", [pytest.param(each, marks=() if each in QUICK else pytest.mark.slow) for each in Point]
)
def test_a_killed_export_is_finished_by_the_next_one(
    lake: Lake, run: Export, sent_to: Path, tmp_path: Path, point: Point
) -> None:
    # More than the writers of both cores' tasks have in hand when the driver dies.
    numbers = range(COPIES_BEFORE_DEATH + 2 * WRITERS)
    insert_scored(lake, dict.fromkeys(numbers, 0.5))
    command = [sys.executable, killed_export.__file__, lake.root, str(sent_to), point]

    # Returns when the last process that writes there has ended: Spark and its workers die after the driver.
    killed = subprocess.run(command, capture_output=True, text=True, check=False)

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


def test_a_destination_that_fails_midway_leaves_a_batch_that_is_finished_later(
    lake: Lake, run: Export, sent_to: Path
) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    sent_to.write_text("a file where the folder should be")
    sentence = f"destination: '{sent_to}"

    with pytest.raises(InputError, match=sentence):
        run()
    with pytest.raises(InputError, match=f"{sentence}.*has to be finished there first.*export_for_labeling.json'"):
        run()
    sent_to.unlink()
    result = run()

    assert [each.resumed for each in result.batches] == [True]
    assert copied(sent_to) == {path(1): jpeg(1), path(2): jpeg(2)}


def test_an_image_that_was_deleted_meanwhile_is_left_out(lake: Lake, run: Export, sent_to: Path) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    sent_to.write_text("")
    with pytest.raises(InputError):
        run()
    sent_to.unlink()
    lake.delta(IMAGES).delete(f"path = '{path(1)}'")

    batch = run().batches[0]

    assert copied(sent_to) == {path(2): jpeg(2)}
    assert (batch.gone, batch.by_reason.total()) == (1, 1)


def test_images_of_many_ingests_are_all_sent(lake: Lake, run: Export, sent_to: Path) -> None:
    # A second that a clock shows twice where summer time ends, and fractions of one.
    times = [datetime(2026, 10, 25, 0, 30, 0, 999_999, UTC), datetime(2026, 10, 25, 1, 30, 0, 1, UTC), NOW]
    for number, time in enumerate(times):
        insert_scored(lake, {number: 0.5}, ingested_at=time)

    run()

    assert copied(sent_to) == {path(number): jpeg(number) for number in range(len(times))}


def test_names_of_any_kind_are_sent(lake: Lake, run: Export, sent_to: Path) -> None:
    names = ["file:/a b/ü#%41?.jpg", "s3a://bucket/no-suffix", "file:/x/" + "n" * 250 + ".jpeg", "file:/d/same.jpg"]
    images = {name: jpeg(number) for number, name in enumerate([*names, "file:/e/same.jpg"])}
    insert_images(lake, images)
    insert_predictions(lake, dict.fromkeys(images, 0.5))

    run()

    assert copied(sent_to) == images


def test_the_demo_can_answer_for_what_was_sent(lake: Lake, run: Export, sent_to: Path, tmp_path: Path) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.5})
    run()
    (tmp_path / "true.csv").write_text("path,label\nfive/001.jpg,5\nsix/002.jpg,6\n")

    assert people.answer(sent_to, tmp_path / "true.csv", tmp_path / "answers.csv") == 2


def test_the_component_takes_the_destination_from_the_settings(
    lake: Lake, sent_to: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_scored(lake, {1: 0.5, 2: 0.99})
    monkeypatch.setenv("IMAGE_PIPELINES_LABELING_DESTINATION", f"file://{sent_to}")
    report = SimpleNamespace(path=str(tmp_path / "report.html"))

    batch, count, written = export_for_labeling.python_func(
        report=report, lake=lake.root, fraction=1.0, audit_fraction=0.0
    )

    assert (count, written) == (1, f"file://{sent_to}/{batch}/manifest.jsonl")
    assert path(1) in Path(report.path).read_text()
