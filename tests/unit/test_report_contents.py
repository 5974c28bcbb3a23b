"""The content of each component's report, read from its page."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from components.build_training_set import report as build_report
from components.evaluate_classifier import report as evaluate_report
from components.evaluate_classifier.comparison import GroupOutcome, ImageGroup
from components.evaluate_classifier.report import MAXIMUM_CLASSES
from components.evaluate_classifier.significance import detectable_gain
from components.evaluate_classifier.tally import Paired, Tally
from components.export_for_labeling import report as export_report
from components.import_labels import report as import_report
from components.import_labels.annotations import REPEATED_ID
from components.ingest_images import report as ingest_report
from components.labeling.requests import AUDIT, UNCERTAIN
from components.parameters import Choice
from components.report import short
from components.score_images import report as score_report
from components.train_classifier import report as train_report
from tests.support import report_samples as samples
from tests.support.report_page import ReportPage
from tests.support.report_samples import FEW, MANY, USUAL

Written = Callable[[Callable[[str], None]], ReportPage]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A function that calls a writer of a report, and reads the written page."""

    def write(writer: Callable[[str], None]) -> ReportPage:
        writer(str(tmp_path / "report.html"))
        return ReportPage.read(tmp_path / "report.html")

    return write


def test_ingest_report_has_the_numbers_of_files_and_the_duration(written: Written) -> None:
    page = written(lambda path: ingest_report.write_report(samples.ingest_result(), path))

    assert page.figures == {
        "New or changed files": "732",
        "Images added": "720",
        "Quarantined files": "12",
        "Duration": "1 min 23 s",
        "Version of table 'images'": "7",
    }


def test_ingest_report_lists_quarantined_files_and_reasons(written: Written) -> None:
    result = samples.ingest_result()
    page = written(lambda path: ingest_report.write_report(result, path))
    result.quarantined["empty file"] += 1_000
    page_of_many = written(lambda path: ingest_report.write_report(result, path))

    assert page.tables["Quarantined files by reason"] == [
        {"Reason": "not an image", "Files": "9"},
        {"Reason": "empty file", "Files": "2"},
        {"Reason": "ak47", "Files": "1"},
    ]
    assert {(row["File"], row["Reason"]) for row in page.tables["Quarantined files"]} == set(result.quarantined_files)
    assert len(page_of_many.tables["Quarantined files: 12 of 1,012"]) == 12


def test_ingest_report_counts_what_it_passed_over(written: Written) -> None:
    page = written(lambda path: ingest_report.write_report(samples.ingest_result(), path))

    assert [(row["Kind"], row["Number"]) for row in page.tables["Files and folders passed over"]] == [
        ("name ends with '.txt'", "12"),
        ("name without a suffix", "1"),
        ("name begins with '_' or '.', or is e.g. Thumbs.db", "4"),
    ]


def test_ingest_report_warns_if_no_name_matches_the_glob(written: Written) -> None:
    result = samples.ingest_result(FEW)
    result.discovery.suffixes[".heics"] = 5

    page = written(lambda path: ingest_report.write_report(result, path))

    assert page.warnings[0].startswith("Warning: The source has files, but their names do not match glob;")


def test_ingest_report_shows_classes_with_counts_and_what_is_doubtful_about_them(written: Written) -> None:
    result = samples.ingest_result()

    page = written(lambda path: ingest_report.write_report(result, path))

    rows = page.tables["Classes of the new images"]
    assert [(row["Label"], row["Class"], row["Images"]) for row in rows][-2:] == [
        ("7", "boxing-glove", "90"),
        ("8", "calculator", "1"),
    ]
    assert [row["Labels"] for row in page.tables["Class names with several numbers"]] == ["1, 7"]
    assert page.tables["New images without a label"][1]["Reason"] == "class 1 has the name 'dog', not 'ak47'"
    doubt, unlabeled, single, several = page.warnings
    assert doubt.startswith(
        f"Warning: source: the folders of '{result.source}' may not be classes, because its files lie at"
    )
    assert unlabeled.startswith("Warning: 3 new images have no label.")
    assert single.startswith("Warning: 1 new classes have one image, e.g. 'calculator'.")
    assert several.startswith("Warning: Folders give one class name several numbers")


def test_ingest_report_shows_sample_images_with_their_paths(written: Written) -> None:
    result = samples.ingest_result()
    page = written(lambda path: ingest_report.write_report(result, path))

    pictures = page.galleries["Sample of the new images"]
    assert [picture.path for picture in pictures] == [path for path, _ in result.sample]
    assert all(picture.path in picture.alt for picture in pictures)


def test_ingest_report_states_that_nothing_was_found(written: Written) -> None:
    page = written(lambda path: ingest_report.write_report(samples.ingest_result(FEW), path))

    assert page.summary == "The source contains no new file."
    assert not page.tables
    assert not page.warnings


def test_training_set_report_counts_images_by_class_and_split(written: Written) -> None:
    page = written(lambda path: build_report.write_report(samples.build_result(), path))

    assert page.figures["Training images"] == "7,200"
    assert page.figures["Duration"] == "21.7 s"
    assert page.tables["Images by class"][1] == {
        "Label": "2",
        "Class": "american-flag",
        "Training images": "900",
        "Validation images": "90",
        "Test images": "90",
    }
    assert page.tables["Labeled images that were reused, added and left out"] == [
        {
            "Labeled images": outcome,
            "Reason": reason,
            "Images": images,
            "Megabytes of their files": megabytes,
        }
        for outcome, reason, images, megabytes in (
            ("Reused", "earlier training sets have the content", "8,554", "581.7"),
            ("Added", "new content, in 3 new segments", "86", "5.8"),
            ("Left out", "one content with different labels", "4", "0.3"),
            ("Left out", "the same content at another path", "1,234", "83.9"),
        )
    ]


@pytest.mark.parametrize(
    ("scale", "series"),
    [("usual", ["ak47", "3 other classes"]), ("many", ["252 other classes"])],
)
def test_training_set_report_shows_the_class_balance_by_month(written: Written, scale: str, series: list[str]) -> None:
    result = samples.build_result(samples.SCALES[scale])

    page = written(lambda path: build_report.write_report(result, path))

    chart = page.charts["Images by month of arrival and class: the last 36 months"]
    assert {"2023-01", *series} <= set(chart.words)
    assert "from 2023-01 to 2025-12" in chart.alt


def test_training_set_report_has_no_chart_of_a_single_month(written: Written) -> None:
    page = written(lambda path: build_report.write_report(samples.build_result(FEW), path))

    assert not any("month" in name for name in page.charts)


def test_training_report_shows_curves_of_training_and_validation(written: Written) -> None:
    page = written(lambda path: train_report.write_report(samples.training_request(), samples.training_result(), path))

    for name, first, last in (("Accuracy", "40.0%", "90.0%"), ("Loss", "2.4 nats", "0.65 nats")):
        chart = page.charts[name]
        assert {"training", "validation", "epoch"} <= set(chart.words)
        assert f"validation from {first} to {last} in epoch 6" in chart.alt
    assert page.tables["Epochs"][2] == {
        "Epoch": "3",
        "Loss, nats": "1.01",
        "Accuracy, %": "76.7",
        "Validation loss, nats": "1.000",
        "Validation accuracy, %": "80",
        "Duration, s": "12.2",
    }


def test_training_report_has_speed_and_number_of_ranks(written: Written) -> None:
    page = written(lambda path: train_report.write_report(samples.training_request(), samples.training_result(), path))

    assert page.figures["Images per second"] == "588"
    assert page.figures["Ranks"] == "2"
    assert page.figures["Duration"] == "1 min 15 s"


def test_training_report_of_too_few_steps_recommends_fewer_ranks(written: Written) -> None:
    request = samples.training_request().model_copy(update={"ranks": 64})
    result = samples.training_result()
    few = result.model_copy(update={"steps": 48})

    assert written(lambda path: train_report.write_report(request, result, path)).warnings == []
    (warning,) = written(lambda path: train_report.write_report(request, few, path)).warnings
    assert warning.startswith(
        "Warning: ranks: with 64, the training has 48 optimizer steps in total, but needs at least 50 to converge."
        " Use 5"
    )


def test_evaluation_report_shows_the_confusion_matrix(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    chart = page.charts["Confusion matrix of the challenger"]
    # On both axes.
    assert [chart.words.count(name) for name in USUAL.names] == [2] * len(USUAL.names)
    assert {"predicted class", "true class"} <= set(chart.words)
    assert str(result.challenger.pairs[1, 1]) in chart.words
    assert f"{result.challenger.correct} of 720 images of all classes are on the diagonal" in chart.alt


def test_confusion_matrix_of_many_classes_names_its_classes_and_lists_mistakes(
    written: Written,
) -> None:
    result = samples.evaluation_result(MANY)
    page = written(lambda path: evaluate_report.write_report(result, path))

    (chart,) = page.charts.items()
    assert chart[0].endswith(f": the {MAXIMUM_CLASSES} of 257 classes with the most mistakes")
    named = [short(result.class_name(label)) for label in result.challenger.most_confused(MAXIMUM_CLASSES)]
    assert [chart[1].words.count(name) for name in (*named, "other classes")] == [2] * (MAXIMUM_CLASSES + 1)
    mistakes = page.tables["The challenger's most frequent mistakes"]
    (true, predicted), count = next(pair for pair in result.challenger.pairs.most_common() if len(set(pair[0])) == 2)
    assert mistakes[0] == {
        "True class": result.class_name(true),
        "Predicted class": result.class_name(predicted or 0),
        "Images": str(count),
        "Fraction of the true class, %": str(count),
    }


def test_evaluation_lists_each_class(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    rows = {row["Class"]: row for row in page.tables["Classes, lowest recall first"]}
    assert rows.keys() == set(USUAL.names)
    precision, recall, _ = result.challenger.scores[8]
    assert precision is not None
    assert recall is not None
    assert rows["calculator"]["Recall, %"] == f"{100 * recall:.1f}"
    assert rows["calculator"]["Precision, %"] == f"{100 * precision:.1f}"
    assert next(iter(rows)) == "calculator"


def test_evaluation_compares_both_models(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))
    alone = written(lambda path: evaluate_report.write_report(samples.evaluation_result(FEW), path))

    ours, theirs = page.tables["Both models on the same images"]
    assert (ours["Model"], theirs["Model"]) == ("challenger", "champion (version 3)")
    assert theirs["Accuracy, %"] == f"{100 * result.champion_accuracy:.2f}"
    assert theirs["95% interval"] == "80.7% to 86.1%"
    assert result.champion is not None
    assert theirs["Balanced accuracy, %"] == f"{100 * result.champion.balanced_accuracy:.2f}"
    assert ours["Macro F1, %"] == f"{100 * result.challenger.macro_f1:.2f}"
    assert "Champion's recall, %" in page.tables["Classes, lowest recall first"][0]
    assert [row["Model"] for row in alone.tables["The model on the test images"]] == ["challenger"]


def test_evaluation_report_separates_fresh_and_requested_images_from_those_that_decide(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    measured, fresh, requested = page.tables["Groups of test images"]
    assert [row["Group"].partition(":")[0] for row in (measured, fresh, requested)] == [
        "measured",
        "fresh",
        "requested",
    ]
    assert [row["Decides"] for row in (measured, fresh, requested)] == ["yes", "no", "no"]
    assert [row["Images"] for row in (measured, fresh, requested)] == ["720", "36", "8"]
    assert result.paired is not None
    assert measured["Only challenger right"] == str(result.paired.won)
    assert measured["Gain, points"] == f"{100 * result.paired.gain:.2f}"
    # The champion predicts one class for all requested images, and the challenger the right one.
    assert (requested["Challenger's accuracy, %"], requested["Champion's accuracy, %"]) == ("100.0", "12.50")


def test_evaluation_report_of_a_first_model_has_no_fresh_or_requested_images(written: Written) -> None:
    page = written(lambda path: evaluate_report.write_report(samples.evaluation_result(FEW), path))

    assert [row["Images"] for row in page.tables["Groups of test images"]] == ["1", "0", "0"]
    assert not any("The test of the gain stands on" in text for text in page.texts)


def test_evaluation_report_states_the_power_of_the_test(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    assert result.paired is not None
    won, lost = result.paired.won, result.paired.lost
    gain = detectable_gain(720, (won + lost) / 720, level=0.05)
    assert gain is not None
    (text,) = (text for text in page.texts if text.startswith("The test of the gain stands on 720 measured images."))
    assert f"The models differ on {won + lost} of them" in text
    assert f"only the challenger is right on {won}, only the champion on {lost}" in text
    assert f"detects a gain of {100 * gain:.2f} points above the minimum with a probability of 80%" in text
    assert "R. J. Connor, Biometrics 43, 1987" in text


@pytest.mark.parametrize(
    ("images", "fresh", "weeks", "expected"),
    [
        (4_999, 300, 3.0, ["4,999 measured test images are fewer than 5,000"]),
        (5_000, 299, 3.0, ["99.7 fresh test images a week are fewer than 100"]),
        (
            100,
            0,
            1.0,
            ["100 measured test images are fewer than 5,000", "0.0 fresh test images a week are fewer than 100"],
        ),
        (5_000, 300, 3.0, []),
        (5_000, 0, 0.9, []),
        (5_000, 0, None, []),
    ],
    ids=["few measured", "few fresh", "few of both", "enough", "champion of this week", "promotion unknown"],
)
def test_evaluation_report_states_that_images_are_few(
    written: Written, images: int, fresh: int, weeks: float | None, expected: list[str]
) -> None:
    result = samples.evaluation_result()
    groups = {
        group: GroupOutcome(Tally.of([(1, 1, count)]), Tally.of([(1, 1, count)]), Paired.of([(1, True, True, count)]))
        for group, count in zip(ImageGroup, (images, 0, fresh), strict=True)
    }
    result = replace(
        result, comparison=replace(result.comparison, groups=groups, weeks_since_promotion=weeks), mistakes=[]
    )

    page = written(lambda path: evaluate_report.write_report(result, path))

    shortage = [text for text in page.texts if "fewer than" in text]
    assert len(shortage) == bool(expected)
    assert all(sentence in shortage[0] for sentence in expected)


def test_evaluation_report_counts_images_that_were_predicted_in_this_run(written: Written) -> None:
    page = written(lambda path: evaluate_report.write_report(samples.evaluation_result(), path))

    assert page.tables["Predictions of test images"] == [
        {"Model": "challenger", "Test images": "728", "Predicted in this run": "728", "From earlier evaluations": "0"},
        {"Model": "champion", "Test images": "728", "Predicted in this run": "72", "From earlier evaluations": "656"},
    ]


def test_evaluation_report_shows_the_class_that_is_worst_with_its_images_and_p_value(written: Written) -> None:
    result = samples.evaluation_result(lost_class=3)
    page = written(lambda path: evaluate_report.write_report(result, path))

    rule = next(row for row in page.tables["Gate"] if "significantly worse" in row["Rule"])
    row = next(row for row in page.tables["Classes, lowest recall first"] if row["Label"] == "3")
    lost = int(row["Only champion right"])
    assert (row["Recall, %"], row["Only challenger right"], rule["Passed"]) == ("0.0", "0", "no")
    assert rule["Required"] == "p above 0.05, corrected for 8 classes (Holm)"
    # The p-value of the sign test with lost and without won images, times the number of classes.
    assert f"lowest p {8 * 0.5**lost:.2g}: class backpack (recall 0.00% instead of" in rule["Measured"]
    assert "on 90 images)" in rule["Measured"]
    assert "class backpack (recall 0.00%" in page.texts[0]


def test_evaluation_shows_the_worst_mistakes_with_their_paths(written: Written) -> None:
    result = samples.evaluation_result()
    page = written(lambda path: evaluate_report.write_report(result, path))

    pictures = page.galleries["The challenger's mistakes with the highest scores"]
    assert [picture.path for picture in pictures] == [mistake.path for mistake in result.mistakes]
    assert pictures[0].caption == "american-flag, 99.0%; true class ak47"
    assert pictures[0].alt == f"{pictures[0].caption} ({pictures[0].path})"


def test_scoring_report_shows_the_histogram_and_the_fraction_under_the_threshold(written: Written) -> None:
    result = samples.score_result()
    page = written(lambda path: score_report.write_report(result, path))

    fraction = f"{result.uncertain / result.scored:.1%}"
    assert page.figures["Score below 95%"] == fraction
    assert page.charts["Scores"].alt.endswith(f"{result.uncertain} of them, {fraction}, are below 95%")
    assert {"images", "score of an image"} <= set(page.charts["Scores"].words)


def test_scoring_report_uses_the_threshold_of_the_run(written: Written) -> None:
    result = samples.score_result()
    result.threshold = 0.5
    page = written(lambda path: score_report.write_report(result, path))

    assert page.figures["Score below 50%"] == f"{result.uncertain / result.scored:.1%}"
    assert "threshold of 50%: images to its left are uncertain" in page.charts["Scores"].words


def test_scoring_report_shows_images_with_the_lowest_scores_and_their_paths(written: Written) -> None:
    result = samples.score_result()
    page = written(lambda path: score_report.write_report(result, path))

    pictures = page.galleries["Images with the lowest scores"]
    assert [picture.path for picture in pictures] == [example.path for example in result.examples]
    assert pictures[0].caption == "ak47, 12.0%"


def test_scoring_report_has_the_accuracy_in_the_field_by_version_and_by_week(written: Written) -> None:
    page = written(lambda path: score_report.write_report(samples.score_result(), path))

    by_version = next(rows for name, rows in page.tables.items() if name == "Accuracy in the field by model version")
    assert [row["Version"] for row in by_version] == ["1", "2", "3", "4"]
    assert by_version[-1] == {
        "Version": "4",
        "Sent for audit": "360",
        "Labeled": "255",
        "Right": "243",
        "Accuracy, %": "95.3",
        "95% interval": "92.0% to 97.3%",
    }
    by_week = next(rows for name, rows in page.tables.items() if name.startswith("Accuracy in the field by week"))
    assert by_week[0] == {
        "Week of": "2026-10-26",
        "Version": "4",
        "Sent for audit": "60",
        "Labeled": "45",
        "Right": "43",
        "Accuracy, %": "95.6",
        "95% interval": "85.2% to 98.8%",
    }
    assert {"version 1", "version 4", "accuracy"} <= set(page.charts["Accuracy in the field by week"].words)
    assert page.figures["Accuracy in the field"] == "95.3%"


def test_scoring_report_compares_the_predicted_classes_with_the_training_set(written: Written) -> None:
    page = written(lambda path: score_report.write_report(samples.score_result(), path))

    chart = page.charts["Predicted classes and classes of the training set"]
    assert {*USUAL.names, "images scored", "training set"} <= set(chart.words)
    assert "calculator differs most, with 17.9% and 12.5%" in chart.alt
    assert any("Jensen-Shannon divergence of 0.016 bits" in text for text in page.texts)


def test_export_report_lists_sent_images_and_reasons(written: Written) -> None:
    result = samples.export_result()
    page = written(lambda path: export_report.write_report(result, path))

    assert page.figures["Images sent"] == "97"
    assert any("selects 10% of the candidates with a score below 92.5%. For audit it draws 1%" in t for t in page.texts)
    rows = page.tables["Images sent, by batch and reason"]
    assert [(row["Batch"][:8], row["Reason"].split(":")[0], row["Images"]) for row in rows] == [
        ("20260503", "uncertain", "12"),
        ("20260504", "uncertain", "61"),
        ("20260504", "audit", "24"),
    ]
    uncertain = page.galleries["Sent as uncertain: the lowest scores"]
    audit = page.galleries["Sent for audit: the lowest scores"]
    assert [picture.caption for picture in audit][:2] == ["ak47, 20.0%", "baseball-bat, 26.0%"]
    for reason, pictures in ((UNCERTAIN, uncertain), (AUDIT, audit)):
        sent = [each.path for each in result.batches[1].examples if each.reason == reason]
        assert [picture.path for picture in pictures] == sent


def test_export_report_names_the_budget_instead_of_a_fraction(written: Written) -> None:
    result = samples.export_result()
    result.choice = Choice(budget=1500)
    page = written(lambda path: export_report.write_report(result, path))

    assert any("selects the 1,500 candidates with the lowest scores below" in text for text in page.texts)


def test_import_report_has_annotations_agreement_and_conflicts(written: Written) -> None:
    page = written(lambda path: import_report.write_report(samples.import_result(), path))

    assert page.figures["New annotations"] == "118"
    assert page.texts[0] == "Files read: 3. Annotations in them: 130. New annotations: 118."
    assert [list(row.values()) for row in page.tables["Agreement"]] == [
        ["People among each other: images with two or more annotations", "20", "17", "85.0", "64.0% to 94.8%"],
        ["People and model: labeled images that the model predicted", "40", "33", "82.5", "68.1% to 91.3%"],
    ]
    assert (page.figures["People agree"], page.figures["Images skipped by everybody"]) == ("85.0%", "4")
    assert page.figures["Images with conflicting labels"] == "3"
    assert page.tables["Labeled images"][0] == {"Label": "1", "Class": "ak47", "Images": "4"}
    assert len(page.tables["Images with conflicting labels: rule 'unanimous' gives them no label yet"]) == 3
    assert page.tables["New classes, which the next training learns"][0] == {"Label": "5000", "Class": "ak47"}
    assert page.tables["Rejected annotations"][1]["Reason"] == "name: 'ak47' is not allowed for a new class."


def test_import_report_counts_outcomes_and_reasons_and_names_other_files(written: Written) -> None:
    page = written(lambda path: import_report.write_report(samples.import_result(), path))

    outcomes = {row["Outcome"]: row["Annotations"] for row in page.tables["Outcomes of the annotations in the files"]}
    assert outcomes == {
        "a class": "114",
        "skipped": "16",
        "finished without a class": "1",
        "not labeled yet": "2,345",
        "waiting for a new class": "9",
        "rejected": "3",
    }
    assert list(page.tables["Reasons of rejections"][0].values()) == [
        REPEATED_ID,
        "2",
        "file:///answers/a.csv, line 17",
    ]
    assert [row["Annotations"] for row in page.tables["New classes that wait for the next import"]] == ["4", "3", "2"]
    assert [list(row.values()) for row in page.tables["Other files, which are not read"]] == [
        ["none", "1", "README", "If they are annotations, export them as .csv, .tsv, .jsonl, .ndjson, .json."],
        [".xlsx", "2", "ak47.xlsx", "Save the sheet as CSV UTF-8 (.csv)."],
    ]


def test_report_shows_any_class_name_unchanged(written: Written) -> None:
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
def test_class_ids_have_no_grouped_digits(written: Written, write: Callable[[str], None]) -> None:
    tables = [rows for rows in written(write).tables.values() if "Label" in rows[0]]

    assert any(row["Label"] == "1000" for rows in tables for row in rows)
    assert all(row["Label"].isdecimal() for rows in tables for row in rows)
