"""What the report of each component tells, as a reader finds it on the page."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.build_training_set import report as build_report
from components.evaluate_classifier import report as evaluate_report
from components.evaluate_classifier.report import MAXIMUM_CLASSES
from components.export_for_labeling import report as export_report
from components.export_for_labeling.choice import Choice
from components.import_labels import report as import_report
from components.ingest_images import report as ingest_report
from components.report import short
from components.score_images import report as score_report
from components.train_classifier import report as train_report
from tests import report_samples as samples
from tests.report_page import ReportPage
from tests.report_samples import FEW, MANY, USUAL

Written = Callable[[Callable[[str], None]], ReportPage]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Return the page that a function writes."""

    def write(writer: Callable[[str], None]) -> ReportPage:
        writer(str(tmp_path / "report.html"))
        return ReportPage.read(tmp_path / "report.html")

    return write


def test_ingest_tells_how_many_files_came_and_how_long_it_took(written: Written) -> None:
    page = written(lambda path: ingest_report.write_report(samples.ingest_result(), path))

    assert page.figures == {
        "New files": "732",
        "Images added": "720",
        "Quarantined files": "12",
        "Duration": "1 min 23 s",
        "Version of the table images": "7",
    }


def test_ingest_tells_what_was_quarantined_and_why(written: Written) -> None:
    result = samples.ingest_result()
    page = written(lambda path: ingest_report.write_report(result, path))
    result.quarantined["empty file"] += 1_000
    page_of_many = written(lambda path: ingest_report.write_report(result, path))

    assert page.tables["Why files were quarantined"] == [
        {"Reason": "not an image", "Files": "9"},
        {"Reason": "empty file", "Files": "2"},
        {"Reason": "ak47", "Files": "1"},
    ]
    assert {(row["File"], row["Reason"]) for row in page.tables["Quarantined files"]} == set(result.refused)
    assert len(page_of_many.tables["Quarantined files: 12 of 1,012"]) == 12


def test_ingest_shows_a_sample_and_which_images_it_is(written: Written) -> None:
    result = samples.ingest_result()
    page = written(lambda path: ingest_report.write_report(result, path))

    pictures = page.galleries["A sample of the new images"]
    assert [picture.path for picture in pictures] == [path for path, _ in result.sample]
    assert all(picture.path in picture.alt for picture in pictures)


def test_ingest_that_found_nothing_says_so(written: Written) -> None:
    page = written(lambda path: ingest_report.write_report(samples.ingest_result(FEW), path))

    assert page.texts[0].startswith("No new file was found.")
    assert not page.tables
    assert not page.warnings


def test_a_training_set_is_counted_by_class_and_split(written: Written) -> None:
    page = written(lambda path: build_report.write_report(samples.build_result(), path))

    assert page.figures["Train images"] == "7,200"
    assert page.figures["Duration"] == "21.7 s"
    assert page.tables["Images by class"][1] == {
        "Label": "2",
        "Class": "american-flag",
        "Train images": "900",
        "Validation images": "90",
        "Test images": "90",
    }
    assert {"Reason": "the same content at another path", "Images": "1,234"} in page.tables["Labelled images left out"]


def test_training_shows_curves_with_validation(written: Written) -> None:
    page = written(lambda path: train_report.write_report(samples.training_request(), samples.training_result(), path))

    for name, first, last in (("Accuracy", "40.0%", "90.0%"), ("Loss", "2.4 nats", "0.65 nats")):
        chart = page.charts[name]
        assert {"training", "validation", "epoch"} <= set(chart.words)
        assert f"in validation from {first} to {last} in epoch 6" in chart.alt
    assert page.tables["Epochs"][2] == {
        "Epoch": "3",
        "Loss, nats": "1.01",
        "Accuracy, %": "76.7",
        "Validation loss, nats": "1.000",
        "Validation accuracy, %": "80",
        "Duration, s": "12.2",
    }


def test_training_tells_its_speed_and_its_ranks(written: Written) -> None:
    page = written(lambda path: train_report.write_report(samples.training_request(), samples.training_result(), path))

    assert page.figures["Speed"] == "588 images/s"
    assert page.figures["Ranks"] == "2"
    assert page.figures["Duration"] == "1 min 15 s"


def test_evaluation_shows_the_confusion_matrix(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    chart = page.charts["Confusion matrix of the challenger"]
    # On both axes.
    assert [chart.words.count(name) for name in USUAL.names] == [2] * len(USUAL.names)
    assert {"predicted class", "true class"} <= set(chart.words)
    assert str(result.challenger.pairs[1, 1]) in chart.words
    assert f"{result.challenger.correct} of 720 images are on the diagonal" in chart.alt


def test_the_confusion_matrix_of_many_classes_names_those_it_shows_and_tells_the_mistakes_in_words(
    written: Written,
) -> None:
    result = samples.evaluation_result(MANY)
    page = written(lambda path: evaluate_report.write_report(result, path))

    (chart,) = page.charts.items()
    assert chart[0].endswith(f": the {MAXIMUM_CLASSES} of 257 classes that mistakes are about most")
    named = [short(result.class_name(label)) for label in result.challenger.most_confused(MAXIMUM_CLASSES)]
    assert [chart[1].words.count(name) for name in (*named, "other classes")] == [2] * (MAXIMUM_CLASSES + 1)
    mistakes = page.tables["The challenger's most frequent mistakes"]
    (true, predicted), count = next(pair for pair in result.challenger.pairs.most_common() if len(set(pair[0])) == 2)
    assert mistakes[0] == {
        "True class": result.class_name(true),
        "Predicted class": result.class_name(predicted or 0),
        "Images": str(count),
        "Of the true class, %": str(count),
    }


def test_evaluation_tells_of_each_class(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    rows = {row["Class"]: row for row in page.tables["Classes, those that are found least first"]}
    assert rows.keys() == set(USUAL.names)
    precision, recall, _ = result.challenger.class_scores(8)
    assert precision is not None
    assert recall is not None
    assert rows["calculator"]["Recall, %"] == f"{100 * recall:.1f}"
    assert rows["calculator"]["Precision, %"] == f"{100 * precision:.1f}"
    assert next(iter(rows)) == "calculator"


def test_evaluation_tells_of_both_models(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))
    alone = written(lambda path: evaluate_report.write_report(samples.evaluation_result(FEW), path))

    ours, theirs = page.tables["The models on the same images"]
    assert (ours["Model"], theirs["Model"]) == ("challenger", "champion, version 3")
    assert theirs["Accuracy, %"] == f"{100 * result.champion_accuracy:.2f}"
    assert theirs["95% interval"] == "80.7% to 86.1%"
    assert "Champion's recall, %" in page.tables["Classes, those that are found least first"][0]
    assert [row["Model"] for row in alone.tables["The models on the same images"]] == ["challenger"]


def test_evaluation_shows_the_worst_mistakes_and_which_images_they_are(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    pictures = page.galleries["The challenger's mistakes of the highest scores"]
    assert [picture.path for picture in pictures] == [mistake.path for mistake in result.mistakes]
    assert pictures[0].caption == "american-flag, 99.0%; in truth ak47"
    assert pictures[0].alt == f"{pictures[0].caption} ({pictures[0].path})"


def test_scoring_shows_the_histogram_and_the_share_under_the_threshold(written: Written) -> None:
    result = samples.score_result()
    page = written(lambda path: score_report.write_report(result, path))

    share = f"{result.doubtful / result.scored:.1%}"
    assert page.figures["Score under 95%"] == share
    assert page.charts["Scores"].alt.endswith(f"{result.doubtful} of them, {share}, are under 95%")
    assert {"images", "best score of an image"} <= set(page.charts["Scores"].words)


def test_scoring_tells_the_share_under_the_threshold_that_it_was_given(written: Written) -> None:
    result = samples.score_result()
    result.threshold = 0.5
    page = written(lambda path: score_report.write_report(result, path))

    assert page.figures["Score under 50%"] == f"{result.doubtful / result.scored:.1%}"
    assert "50%, below which an image is doubtful" in page.charts["Scores"].words


def test_scoring_shows_the_lowest_scores_and_which_images_they_are(written: Written) -> None:
    result = samples.score_result()
    page = written(lambda path: score_report.write_report(result, path))

    pictures = page.galleries["The images of the lowest scores"]
    assert [picture.path for picture in pictures] == [example.path for example in result.examples]
    assert pictures[0].caption == "ak47, 12.0%"


def test_scoring_tells_the_accuracy_in_the_field_by_version_and_by_week(written: Written) -> None:
    page = written(lambda path: score_report.write_report(samples.score_result(), path))

    by_version = next(rows for name, rows in page.tables.items() if name.startswith("Accuracy in the field, by model"))
    assert [row["Version"] for row in by_version] == ["1", "2", "3", "4"]
    assert by_version[-1] == {
        "Version": "4",
        "Sent for audit": "360",
        "Answered": "255",
        "Right": "243",
        "Accuracy, %": "95.3",
        "95% interval": "92.0% to 97.3%",
    }
    by_week = next(rows for name, rows in page.tables.items() if name.startswith("Accuracy in the field, by week"))
    assert by_week[0] == {
        "Week of": "2026-10-26",
        "Version": "4",
        "Sent for audit": "60",
        "Answered": "45",
        "Right": "43",
        "Accuracy, %": "95.6",
        "95% interval": "85.2% to 98.8%",
    }
    assert {"version 1", "version 4", "accuracy"} <= set(page.charts["Accuracy in the field, by week"].words)
    assert page.figures["Accuracy in the field"] == "95.3%"


def test_scoring_compares_the_classes_with_those_of_the_training_set(written: Written) -> None:
    page = written(lambda path: score_report.write_report(samples.score_result(), path))

    chart = page.charts["Classes predicted, beside those of the training set"]
    assert {*USUAL.names, "images scored", "training set"} <= set(chart.words)
    assert "most apart is calculator, with 17.9% and 12.5%" in chart.alt
    assert any("Jensen-Shannon divergence of the two: 0.016 bits" in text for text in page.texts)


def test_export_tells_what_was_sent_and_why(written: Written) -> None:
    result = samples.export_result()
    page = written(lambda path: export_report.write_report(result, path))

    assert page.figures["Images sent"] == "97"
    assert any("under 92.5%; people get 10% of them, and 1% of what was scored" in text for text in page.texts)
    rows = page.tables["What was sent, and why"]
    assert [(row["Batch"][:8], row["Why"].split(":")[0], row["Images"]) for row in rows] == [
        ("20260503", "doubtful", "12"),
        ("20260504", "doubtful", "61"),
        ("20260504", "audit", "24"),
    ]
    shown = {name.split("sent as ")[1].split(":")[0]: pictures for name, pictures in page.galleries.items()}
    assert shown.keys() == {"doubtful", "audit"}
    assert [picture.caption for picture in shown["audit"]][:2] == ["ak47, 20.0% (audit)", "baseball-bat, 26.0% (audit)"]
    for reason, pictures in shown.items():
        sent = [each.path for each in result.batches[1].examples if each.reason == reason]
        assert [picture.path for picture in pictures] == sent


def test_export_tells_of_a_budget_in_place_of_a_share(written: Written) -> None:
    result = samples.export_result()
    result.choice = Choice(budget=1500)
    page = written(lambda path: export_report.write_report(result, path))

    assert any("people get the 1,500 most doubtful of them" in text for text in page.texts)


def test_import_tells_what_came_back_and_who_agrees(
    written: Written,
) -> None:
    page = written(lambda path: import_report.write_report(samples.import_result(), path))

    assert page.figures["New answers"] == "118"
    assert page.texts[0] == "Files: 3. Answers in them: 130. New: 118."
    assert [list(row.values()) for row in page.tables["Agreement"]] == [
        ["People, where two or more gave a class", "20", "17", "85.0", "64.0% to 94.8%"],
        ["People and model, where it was asked about", "40", "33", "82.5", "68.1% to 91.3%"],
    ]
    assert (page.figures["People agree"], page.figures["Images that everybody skipped"]) == ("85.0%", "4")
    assert page.figures["Images seen differently"] == "3"
    assert page.tables["Images with a label, by class"][0] == {"Label": "1", "Class": "ak47", "Images": "4"}
    assert len(page.tables["Images that people see differently: by the rule 'unanimous' they have no label yet"]) == 3
    assert page.tables["Classes that nobody knew: the next training has them"][0] == {"Label": "5000", "Class": "ak47"}
    assert page.tables["Left out"][1]["Reason"] == "'ak47' can't be the name of a new class"


def test_classes_keep_their_names_whatever_these_are(written: Written) -> None:
    page = written(lambda path: build_report.write_report(samples.build_result(MANY), path))

    assert [row["Class"] for row in page.tables["Images by class"]] == list(MANY.names)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: build_report.write_report(samples.build_result(MANY), path),
        lambda path: evaluate_report.write_report(samples.evaluation_result(MANY), path),
        lambda path: score_report.write_report(samples.score_result(MANY), path),
        lambda path: import_report.write_report(samples.import_result(MANY), path),
    ],
    ids=["build_training_set", "evaluate_classifier", "score_images", "import_labels"],
)
def test_class_ids_are_no_quantities(written: Written, write: Callable[[str], None]) -> None:
    tables = [rows for rows in written(write).tables.values() if "Label" in rows[0]]

    assert any(row["Label"] == "1000" for rows in tables for row in rows)
    assert all(row["Label"].isdecimal() for rows in tables for row in rows)
