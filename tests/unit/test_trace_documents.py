"""A trace as text and as a page: what is current and why, and everything that is known."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from components.errors import InputError
from components.succession import Succession
from pipelines.cli import app
from pipelines.trace.describe_image import describe_image
from pipelines.trace.describe_model import describe_model
from pipelines.trace.document import Document, Table, as_report, as_text
from pipelines.trace.image import ImageTrace, SplitRecord
from tests.support.report_page import ReportPage
from tests.support.report_samples import photograph, training_set
from tests.support.trace_samples import (
    BATCH,
    MODEL,
    NEW,
    OLD,
    SECOND,
    TRAINING_SET,
    empty_trace,
    image_trace,
    model_trace,
)


def page_of(document: Document) -> ReportPage:
    return ReportPage.parse(as_report(document).html())


def reasons(trace: ImageTrace) -> list[str]:
    return list(describe_image(trace).reasons)


def current(trace: ImageTrace, **changes: object) -> ImageTrace:
    """Return a trace with another current state."""
    assert trace.current is not None
    return replace(trace, current=replace(trace.current, **changes))  # type: ignore[arg-type]


def test_text_and_page_of_an_image_have_the_same_facts() -> None:
    document = describe_image(image_trace(photograph(0)))
    page, text = page_of(document), as_text(document)

    assert page.summary == document.summary
    assert page.figures == document.figures
    for table in document.tables:
        assert table.caption in text
        assert len(page.tables.get(table.caption, [])) == len(table.rows)
        for row in page.tables.get(table.caption, []):
            assert all(value in text for value in row.values()), row
    assert all(reason in text for reason in page.texts)


def test_page_of_an_image_shows_the_current_picture_and_the_earlier_ones() -> None:
    page = page_of(describe_image(image_trace(photograph(0))))

    (now,), (before,) = page.galleries["Picture"], page.galleries["Earlier pictures, newest first"]
    assert now.caption == "ingested 2026-06-01 09:00:00"
    assert before.caption == "ingested 2026-05-04 08:30:00"


def test_trace_names_each_source_of_a_label_and_the_one_that_counts() -> None:
    page = page_of(describe_image(image_trace()))

    rows = {row["From"]: (row["Class"], row["Counts"]) for row in page.tables["Labels"]}
    assert rows == {"folder": ("dog (4)", "no"), "people, folder-service": ("kitten (5), now cat (3)", "yes")}
    states = {row["Person"]: row["State"] for row in page.tables["Annotations, newest first"]}
    assert states == {"cat": "current content", "ben": "taken back"}
    assert page.tables["Merged and retired classes"] == [{"Class": "kitten (5), now cat (3)", "Counts as": "cat (3)"}]


def test_trace_gives_the_reason_of_the_effective_label() -> None:
    trace = image_trace()

    assert reasons(trace)[0] == (
        "Label: cat (3), because people labeled it in 'folder-service', which takes precedence over the folder's class."
        " Class kitten (5), now cat (3) was merged into cat (3)."
    )
    by_folder = current(replace(trace, labels=()), label=4, label_source="folder")
    assert "because its folder names the class" in reasons(by_folder)[0]
    retired = current(replace(trace, merges={5: None}), label=None, label_source=None)
    assert reasons(retired)[0] == "Label: none, because class kitten (5) is retired."
    assert trace.file is not None
    without_folder = replace(trace, labels=(), file=replace(trace.file, folder_label=None))
    unlabeled = current(without_folder, label=None, label_source=None)
    assert "skips or conflict" in reasons(unlabeled)[0]


def test_trace_gives_the_reason_of_the_current_prediction() -> None:
    trace = image_trace()

    assert reasons(trace)[1] == "Prediction: version 4, because it is the champion."
    assert "the champion (version 4) has no prediction for it" in reasons(current(trace, version="3"))[1]
    without = current(trace, version=None, predicted_label=None, predicted_score=None)
    assert "Labeled images are not scored" in reasons(without)[1]
    assert "has no champion" in reasons(replace(trace, succession=Succession(MODEL, ())))[1]
    assert "no model registry is set" in reasons(replace(trace, succession=None))[1]


def test_trace_says_why_an_image_is_in_no_training_set() -> None:
    left_out = SplitRecord(NEW, None, "near-duplicates in two splits", SECOND)

    assert "is left out of training sets" in reasons(replace(image_trace(), splits=(left_out,)))[2]
    assert "No build" in reasons(replace(image_trace(), splits=(), memberships=()))[2]


def test_trace_names_training_sets_and_the_models_that_saw_the_image() -> None:
    page = page_of(describe_image(image_trace()))

    (member,) = page.tables["Training sets, newest first"]
    assert (member["Training set"], member["Split"], member["Member"]) == (TRAINING_SET, "train", "this path")
    trainings = page.tables["Trainings and model versions, newest first"]
    assert [(row["Use"], row["Version"], row["Role"]) for row in trainings] == [
        ("trained on it", "5", "challenger"),
        ("trained on it", "not registered", ""),
    ]


def test_trace_names_requests_with_their_copies_and_the_version_of_each_table() -> None:
    page = page_of(describe_image(image_trace()))

    (request,) = page.tables["Labeling requests and exported copies, newest first"]
    assert (request["Batch"], request["Outcome"]) == (BATCH, "labeled")
    assert request["Copy"].startswith("file:///to-label/")
    versions = {row["Table"]: row["Version"] for row in page.tables["Tables that were read"]}
    assert (versions["files"], versions["groups"]) == ("12", "missing")


def test_trace_of_a_file_in_quarantine_gives_its_reason() -> None:
    document = describe_image(empty_trace())

    assert document.summary.startswith("The file is in quarantine since 2026-05-04 08:30:00 UTC: not an image.")
    assert page_of(document).summary == document.summary


def test_arrivals_distinguish_the_current_content_from_earlier_and_refused_ones() -> None:
    rows = page_of(describe_image(image_trace())).tables["Arrivals, newest first"]

    assert [(row["Content"], row["Outcome"]) for row in rows] == [
        (NEW, "current"),
        ("\N{EN DASH}", "refused: not an image"),
        (OLD, "earlier"),
    ]


def test_trace_of_a_model_names_data_code_comparisons_promotions_and_days() -> None:
    document = describe_model(model_trace(training_set()))
    page, text = page_of(document), as_text(document)

    training = {row["What"]: row["Value"] for row in page.tables["Training"]}
    assert training["release of the code"] == "0.2.0"
    assert {row["Champion"] for row in page.tables["Comparisons with the champion"]} == {"3", "4"}
    (reign,) = page.tables["Times as the champion"]
    assert reign["Next champion"] == "5"
    assert [row["Images"] for row in page.tables["Predictions by day"]] == ["50,002", "50,001", "50,000"]
    assert "images 7" in document.reasons[1]
    assert page.charts["Predictions by day"].alt.startswith("150,003 images on 3 days")
    for rows in page.tables.values():
        for row in rows:
            assert all(value in text for value in row.values()), row


def test_trace_of_a_model_without_its_training_set_and_run_says_so() -> None:
    trace = replace(model_trace(days=0), run=None)
    page = page_of(describe_model(trace))

    assert page.tables["Training"] == [{"What": "MLflow run", "Value": "0b6c37b1d4a24d0c8f7e, which is gone"}]
    assert "the manifest of the training set is gone" in page.texts[1]
    assert not page.charts


def test_text_has_aligned_columns_and_no_characters_that_a_terminal_obeys() -> None:
    table = Table("Names", ("Name", "Images"), [("自転車", 1234), ("bell\x1b[2J", 5)])
    text = as_text(Document("t", "s", "A sentence.", {}, (), [table]))

    assert text.splitlines()[-3:] == [
        "Name      Images",
        "自転車     1,234",
        "bell\N{REPLACEMENT CHARACTER}[2J       5",
    ]


def test_page_without_a_current_image_shows_the_earlier_pictures_only() -> None:
    document = describe_image(replace(image_trace(photograph(0)), file=None, current=None))

    assert document.picture is None
    assert len(document.earlier) == 2


@pytest.mark.parametrize("arguments", [[], ["file:/a.jpg", "--model", "4"]])
def test_trace_needs_either_a_path_or_a_version(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["trace", *arguments])

    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("trace: name one thing to trace.")
