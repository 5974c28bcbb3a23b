"""A trace as text and as a page: the current state with reasons, and the history."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from components.errors import InputError
from components.labeling.batches import copy_name
from components.lake.tables import UNRECORDED
from components.settings import Settings
from components.succession import Succession
from pipelines.cli import app
from pipelines.trace.copies import Copies
from pipelines.trace.describe_image import describe_image
from pipelines.trace.describe_model import describe_model
from pipelines.trace.document import Document, Table, as_report, as_text
from pipelines.trace.image import ImageTrace, SplitRecord
from pipelines.trace.registry import reachable
from tests.support.report_page import ReportPage
from tests.support.report_samples import photograph, training_set
from tests.support.trace_samples import (
    BATCH,
    MODEL,
    NEW,
    OLD,
    PATH,
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
    # The row of `labels` is gone once the class is retired.
    assert reasons(replace(unlabeled, merges={5: None}))[0] == "Label: none, because class kitten (5) is retired."


def test_trace_gives_the_reason_of_the_current_prediction() -> None:
    trace = image_trace()

    assert reasons(trace)[1] == "Prediction: version 4, because it is the champion."
    by_predecessor = replace(trace, predictions=(replace(trace.predictions[0], version="3", digest="e" * 64),))
    assert "the champion (version 4) has no prediction for it" in reasons(current(by_predecessor, version="3"))[1]
    without = current(trace, version=None, predicted_label=None, predicted_score=None)
    assert "Labeled images are not scored" in reasons(without)[1]
    assert "has no champion" in reasons(replace(trace, succession=Succession(MODEL, ())))[1]
    assert "no model registry is set" in reasons(replace(trace, succession=None))[1]


def test_trace_identifies_versions_by_their_digests() -> None:
    trace = image_trace()
    champion = trace.predictions[0]
    of_another_registry = replace(champion, digest="9" * 64)
    withdrawn = replace(champion, version="9", digest="f" * 64)
    earlier = replace(champion, digest=UNRECORDED)
    predictions = (champion, of_another_registry, withdrawn, earlier)

    rows = page_of(describe_image(replace(trace, predictions=predictions))).tables["Predictions, newest first"]

    assert [row["State"] for row in rows] == ["champion", "\N{EN DASH}", "withdrawn", "champion"]
    renumbered = current(replace(trace, predictions=(replace(champion, version="2"),)), version="2")
    assert reasons(renumbered)[1] == "Prediction: version 2, because the champion (version 4) is the same model."
    without = current(trace, version=None, predicted_label=None, predicted_score=None)
    assert "withdrawn versions do not count" in reasons(replace(without, predictions=(withdrawn,)))[1]
    of_test_image = replace(withdrawn, is_test=True)
    assert "Labeled images are not scored" in reasons(replace(without, predictions=(of_test_image,)))[1]


def test_trace_gives_the_reason_why_champion_and_trainings_are_unknown() -> None:
    error = "mlflow_tracking_uri: 'http://mlflow' can't be read (INTERNAL_ERROR). Check the address and the server."
    document = describe_image(
        replace(current(image_trace(), version=None), succession=None, withdrawn=(), models=(), registry_error=error)
    )

    assert document.figures["Current prediction"] == "unknown"
    assert document.reasons[1] == f"Prediction: unknown. {error}"
    assert document.reasons[-1] == f"Trainings: unknown. {error}"


def test_error_of_mlflow_database_is_one_sentence() -> None:
    sentence = r"^mlflow_tracking_uri: 'sqlite:///gone' can't be read \(OperationalError\)\. Check the address"
    with pytest.raises(InputError, match=sentence), reachable(Settings.load(mlflow_tracking_uri="sqlite:///gone")):
        raise OperationalError("SELECT 1", None, Exception("unable to open database file"))


def test_trace_gives_the_reason_why_an_image_is_in_no_training_set() -> None:
    left_out = SplitRecord(NEW, None, "near-duplicates in two splits", SECOND)

    assert "is left out of training sets" in reasons(replace(image_trace(), splits=(left_out,)))[2]
    without = replace(image_trace(), splits=(), memberships=())
    assert "although it has a label. Either no build has run since, or another path" in reasons(without)[2]
    unlabeled = current(without, label=None, label_source=None)
    assert reasons(unlabeled)[2] == "No training set has this image, because it has no label."
    assert "has no current image" in reasons(replace(without, current=None))[2]


def test_trace_names_training_sets_and_the_models_that_used_the_image() -> None:
    page = page_of(describe_image(image_trace()))

    (member,) = page.tables["Training sets, newest first"]
    assert (member["Training set"], member["Split"], member["Member"]) == (TRAINING_SET, "train", "this path")
    trainings = page.tables["Trainings and model versions, newest first"]
    assert [(row["Use"], row["Version"], row["Role"]) for row in trainings] == [
        ("trained on it", "5", "challenger"),
        ("trained on it", "not registered", ""),
    ]


def test_trace_names_each_use_of_a_path_with_two_contents_in_a_training_set() -> None:
    trace = image_trace()
    earlier = replace(trace.memberships[0], content_sha256=OLD, split="test")

    page = page_of(describe_image(replace(trace, memberships=(*trace.memberships, earlier))))

    uses = {row["Use"] for row in page.tables["Trainings and model versions, newest first"]}
    assert uses == {"trained on it, tested on it"}


def test_trace_names_requests_with_their_copies_and_the_version_of_each_table() -> None:
    page = page_of(describe_image(image_trace()))

    (request,) = page.tables["Labeling requests and exported copies, newest first"]
    assert (request["Batch"], request["Outcome"]) == (BATCH, "labeled")
    assert request["Copy"].startswith("file:///to-label/")
    versions = {row["Table"]: row["Version"] for row in page.tables["Tables that were read"]}
    assert (versions["files"], versions["groups"]) == ("12", "missing")


def test_copy_of_an_unknown_picture_is_found_by_any_probable_suffix(tmp_path: Path) -> None:
    path = "file:/landing/a.heic"
    copy = tmp_path / BATCH / copy_name(NEW, path, "png")
    copy.parent.mkdir(parents=True)
    copy.touch()
    copies = Copies(Settings.load(labeling_destination=str(tmp_path)))

    assert copies.find(BATCH, path, NEW, None) == copy.as_uri()
    assert copies.find(BATCH, path, OLD, None).startswith("not found: ")


def test_copies_are_unknown_if_their_destination_is_unusable() -> None:
    copies = Copies(Settings.load(labeling_destination="ftp://to-label"))

    assert copies.find(BATCH, PATH, NEW, None).startswith("unknown: labeling_destination: scheme 'ftp'")


def test_trace_of_a_file_in_quarantine_gives_its_reason() -> None:
    document = describe_image(empty_trace())

    assert document.summary.startswith("The file is in quarantine since 2026-05-04 08:30:00 UTC: not an image.")
    assert page_of(document).summary == document.summary


def test_arrivals_distinguish_the_current_content_from_earlier_and_refused_ones() -> None:
    tables = page_of(describe_image(image_trace())).tables

    assert [(row["Content"], row["Outcome"]) for row in tables["Arrivals, newest first"]] == [
        (NEW[:12], "current"),
        ("\N{EN DASH}", "refused: not an image"),
        (OLD[:12], "earlier"),
    ]
    assert [(row["SHA-256 of the content"], row["SHA-256 of the file"]) for row in tables["Hashes"]] == [
        (NEW, NEW),
        (OLD, "c" * 64),
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


def test_trace_of_a_model_names_its_missing_run_and_training_set() -> None:
    error = "training_set: the manifest of 'file:///lake/training_sets/1' is not of this release."
    trace = replace(model_trace(days=0), run=None, training_set_error=error)
    page = page_of(describe_model(trace))

    assert page.tables["Training"] == [{"What": "MLflow run", "Value": "0b6c37b1d4a24d0c8f7e, which is gone"}]
    assert page.texts[1] == f"Data: {error}"
    assert not page.charts


def test_trace_of_a_model_counts_predictions_without_a_time() -> None:
    document = describe_model(replace(model_trace(), undated=7))

    assert document.figures["Predictions"] == "150,010"
    assert "It has 150,010 predictions" in document.summary
    rows = page_of(document).tables["Predictions by day"]
    assert (rows[-1]["Day, UTC"], rows[-1]["Images"]) == ("unknown", "7")


def test_text_has_aligned_columns_and_no_control_characters() -> None:
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
