"""Report, metrics and warnings of a scoring run."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from kfp.dsl import Metrics

from components.score_images.class_fractions import ClassFractions
from components.score_images.field_accuracy import Audits, FieldAccuracy
from components.score_images.report import log_metrics, warnings, write_report
from components.score_images.score import ScoreResult

MONDAY, NEXT_MONDAY = date(2026, 5, 4), date(2026, 5, 11)


@pytest.fixture
def result() -> ScoreResult:
    """A run without warnings.

    Its classes match the training set, and its version is as accurate in the field as on test images.
    """
    return ScoreResult(
        "digits",
        "10",
        scored=100,
        by_label=Counter({7: 60, 8: 40}),
        class_names={7: "flag", 8: "harp"},
        class_fractions=ClassFractions({7: 60, 8: 40}, {7: 600, 8: 400}),
        test_accuracy=0.9,
        field_accuracy=FieldAccuracy(
            {
                ("9", MONDAY): Audits(10, 4, 1),
                ("10", MONDAY): Audits(60, 50, 44),
                ("10", NEXT_MONDAY): Audits(55, 50, 46),
            }
        ),
    )


def test_report_shows_field_accuracy_of_each_version_with_its_interval(result: ScoreResult, tmp_path: Path) -> None:
    write_report(result, str(tmp_path / "report.html"))

    page = (tmp_path / "report.html").read_text()
    # Wilson's interval of 90 out of 100, and of 1 out of 4.
    assert "82.6% to 94.5%" in page
    assert "4.6% to 69.9%" in page
    assert "Accuracy of each model version by week" in page
    assert "Warning" not in page


def test_metrics_describe_the_version_that_scored(result: ScoreResult) -> None:
    metrics = Metrics()

    log_metrics(result, metrics)

    logged = metrics.metadata
    assert (logged["scored"], logged["audits_labeled"], logged["field_accuracy"]) == (100, 100, 0.9)
    assert logged["field_accuracy_low"] == pytest.approx(0.826, abs=0.001)
    assert logged["field_accuracy_high"] == pytest.approx(0.945, abs=0.001)
    assert logged["class_divergence_bits"] == pytest.approx(0)


def test_divergence_from_the_training_set_gives_a_warning(result: ScoreResult, tmp_path: Path) -> None:
    result.class_fractions = ClassFractions({7: 10, 8: 90}, {7: 600, 8: 400})

    write_report(result, str(tmp_path / "report.html"))

    (warning,) = warnings(result)
    assert "10.0% of the images are predicted as flag, but 60.0% of the training set belong to" in warning
    assert f"Warning: {warning}" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("test_accuracy", "warned"), [(0.94, False), (0.96, True), (None, False)])
def test_lower_accuracy_in_the_field_than_on_test_images_gives_a_warning(
    result: ScoreResult, test_accuracy: float | None, warned: bool
) -> None:
    result.test_accuracy = test_accuracy

    assert bool(warnings(result)) is warned


def test_report_without_scores_and_audits_has_no_warning(tmp_path: Path) -> None:
    empty, metrics = ScoreResult("digits", "1"), Metrics()

    log_metrics(empty, metrics)
    write_report(empty, str(tmp_path / "report.html"))

    assert metrics.metadata == {"scored": 0, "failed": 0}
    assert "No image has been sent for audit yet" in (tmp_path / "report.html").read_text()
