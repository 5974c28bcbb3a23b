"""A notification has the state and figures of one run, and an e-mail has exactly this text and these recipients."""

import os
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.notify.mail import compose
from components.notify.message import RunEnd, compose_message, one_line
from components.notify.notify import announce
from components.parameters.addresses import parse_addresses
from components.pipeline_run import RUN_ID_VARIABLE, run_page
from components.run_notes import (
    ExportNote,
    ImportNote,
    IngestNote,
    MaintenanceNote,
    ModelNote,
    RunNote,
    ScoreNote,
    write_run_note,
)
from components.settings import ENVIRONMENT_PREFIX, Settings

MAIL = Settings.load(smtp_host="mail.example.com", smtp_sender="pipelines@example.com")
HEADERS = [
    *("Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From"),
    *("MIME-Version", "Message-ID", "Subject", "To"),
]
SOURCE = "s3a://landing/labeled"
STOPPED = (
    "Run r was stopped before it ended.",
    "Someone terminated it, or a task was lost. The UI shows the state of each task.",
)
UNKNOWN = ("Run r ended in an unknown state.", "The UI shows the state of each task.")
LINE_BREAKS = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"

# An attack on a header consists of line breaks, which are rare in arbitrary text.
texts = st.lists(
    st.text() | st.sampled_from([*LINE_BREAKS, "\r\nBcc: e@example.com\r\n", "\r\n.\r\n"]), max_size=5
).map("".join)
# Hypothesis generates every address that the standard allows.
addresses = st.emails().filter(lambda address: len(address) <= 254)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        monkeypatch.delenv(name)


def ingested(**changes: Any) -> IngestNote:
    """Return the note of an ingest that found nothing."""
    values = {"source": SOURCE, "found": 0, "ingested": 0, "quarantined": 0, "ever_found": True, **changes}
    return IngestNote.model_validate(values)


def imported(**changes: Any) -> ImportNote:
    """Return the note of an import that found nothing new."""
    values = {"source": "s3a://answers", "imported": 0, "rejected": 0, "new_labels": 4, "retrain": False}
    return ImportNote.model_validate({**values, "ever_found": True, **changes})


def maintained(dry_run: bool = False) -> MaintenanceNote:
    """Return the note of a maintenance."""
    return MaintenanceNote(
        dry_run=dry_run, files_before=1200, files_after=300, bytes_before=30 * 10**9, bytes_after=215 * 10**8
    )


@pytest.fixture
def leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Settings]:
    """Return a function that writes notes of a run into a lake, and returns the settings that name the lake."""

    def write(run_id: str, *notes: RunNote) -> Settings:
        settings = Settings.load(lake=str(tmp_path / "lake"))
        monkeypatch.setenv(RUN_ID_VARIABLE, run_id)
        for note in notes:
            write_run_note(settings, note)
        return settings

    return write


@pytest.mark.parametrize(
    ("end", "sentences"),
    [
        # The state of the backend, and that of kfp.local.
        (RunEnd("nightly-1-2", "COMPLETE", "", "image-scoring"), ("image-scoring (run nightly-1-2) succeeded.",)),
        (RunEnd("local-pipeline-exit-handler-1", "SUCCEEDED"), ("Run local-pipeline-exit-handler-1 succeeded.",)),
        (
            RunEnd("nightly-1-2", "FAILED", "lake: not set.", "image-scoring"),
            (
                "image-scoring (run nightly-1-2) failed: lake: not set.",
                "The log of the failed task shows the cause.",
            ),
        ),
        (RunEnd("r", "FAILED"), ("Run r failed.", "The log of the failed task shows the cause.")),
        (RunEnd("r", "CANCELLED"), ("Run r was canceled.",)),
        (RunEnd("r", "CANCELED"), ("Run r was canceled.",)),
        (RunEnd("r", "CANCELING"), ("Run r was canceled.",)),
        (RunEnd("r", "SKIPPED"), ("Run r was skipped.",)),
        (RunEnd("r", "CACHED"), ("Run r succeeded.",)),
        # States that the exit task sees after a termination or a lost task.
        *((RunEnd("r", state), STOPPED) for state in ("RUNNING", "PENDING", "NEW", "PAUSED")),
        *((RunEnd("r", state), UNKNOWN) for state in ("", "UNKNOWN", "RUNTIME_STATE_UNSPECIFIED")),
        (RunEnd("r", "MOVED"), ("Run r ended in the state 'MOVED'.",)),
        (
            RunEnd("r", "COMPLETE", "", "image-scoring", run_page("https://ui.example.com/pipeline/", "r")),
            ("image-scoring (run r) succeeded.", "The run: https://ui.example.com/pipeline/#/runs/details/r"),
        ),
    ],
)
def test_a_message_has_the_name_and_state_of_the_run(end: RunEnd, sentences: tuple[str, ...]) -> None:
    message = compose_message(end)

    assert message.sentences == sentences
    assert message.subject.startswith(f"{end.pipeline or end.run} ")
    assert ("succeeded" in message.subject) == (end.state in {"COMPLETE", "SUCCEEDED", "CACHED"})
    assert "RUNNING" not in message.subject


@pytest.mark.parametrize(
    ("note", "sentences", "subject"),
    [
        (
            ingested(found=1200, ingested=1190, quarantined=10),
            [f"Ingested: 1,200 new files in {SOURCE}, 1,190 images added, 10 quarantined."],
            "",
        ),
        (ingested(), [f"No new image was found in {SOURCE}."], ", no new image was found"),
        (
            ingested(ever_found=False),
            [f"Nothing has ever been found in {SOURCE}. Check the URI unless no image has landed yet."],
            ", nothing has ever been found in the source",
        ),
        (
            ScoreNote(model_version="3", scored=118, uncertain=12, failed=1),
            ["Scored: 118 images by version 3, 12 of them uncertain; 1 could not be decoded."],
            "",
        ),
        (ExportNote(destination="/to_label", exported=12), ["Exported: 12 images to /to_label."], ""),
        (
            imported(imported=30, rejected=2, new_labels=31, retrain=True),
            [
                "Imported: 30 new annotations from s3a://answers, 2 left out. The champion's training set lacks 31"
                " labels. A new model is trained."
            ],
            "",
        ),
        (
            imported(waiting_classes=["cta", "newt"]),
            [
                "Imported: 0 new annotations from s3a://answers, 0 left out. The champion's training set lacks 4"
                " labels. No new model is trained.",
                "New classes, which count from the next import on: cta, newt. Correct them now if they are misspelled.",
            ],
            "",
        ),
        (
            imported(ever_found=False),
            ["Nothing has ever been found in s3a://answers. If people have labeled images, check the URI."],
            ", nothing has ever been found in the source",
        ),
        (
            ModelNote(version="4", promoted=True, reason="it is better", accuracy=0.93),
            ["Model: version 4 (accuracy 93.0%) is the champion: it is better."],
            ", version 4 is the champion",
        ),
        (
            ModelNote(version="5", promoted=False, reason="it is worse", accuracy=0.8),
            ["Model: version 5 (accuracy 80.0%) was not promoted: it is worse."],
            "",
        ),
        (
            maintained(),
            ["The lake: 1,200 files, 30.00 GB before; 300 files, 21.50 GB now."],
            "",
        ),
        (
            maintained(dry_run=True),
            [
                "The lake: 1,200 files, 30.00 GB before; 300 files, 21.50 GB after a run, by estimate. Nothing was"
                " written."
            ],
            "",
        ),
    ],
)
def test_a_message_has_the_figures_of_each_task(note: RunNote, sentences: list[str], subject: str) -> None:
    message = compose_message(RunEnd("r", "COMPLETE", "", "scoring"), [note])

    assert list(message.sentences) == ["scoring (run r) succeeded.", *sentences]
    assert message.subject == f"scoring succeeded{subject}"


def test_a_notification_has_only_the_figures_of_its_own_run(
    leave: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    leave("a", ingested(found=3, ingested=3), ScoreNote(model_version="1", scored=3, uncertain=0, failed=0))
    lake = leave("b", ingested())

    announce(lake, RunEnd("a", "FAILED"), run_id="a")
    first = capsys.readouterr().out.splitlines()
    announce(lake, RunEnd("b", "COMPLETE"), run_id="b")
    second = capsys.readouterr().out.splitlines()
    announce(lake, RunEnd("c", "COMPLETE"), run_id="c")

    # The figures of tasks that ended before the failure count, too.
    assert [line.split(":")[0] for line in first] == [
        "Run a failed.",
        "The log of the failed task shows the cause.",
        "Ingested",
        "Scored",
    ]
    assert second == ["Run b succeeded.", f"No new image was found in {SOURCE}."]
    assert capsys.readouterr().out == "Run c succeeded.\n"


def test_a_notification_names_the_run_id_and_links_the_page_in_the_ui(capsys: pytest.CaptureFixture[str]) -> None:
    end = RunEnd("image-labeling-2xs2l", "COMPLETE", "", "labeling")

    announce(Settings.load(ui_endpoint="https://ui.example.com/pipeline/"), end, run_id="7b1c")
    linked = capsys.readouterr().out
    announce(Settings.load(), end, run_id="7b1c")

    page = "https://ui.example.com/pipeline/#/runs/details/7b1c"
    assert linked == f"labeling (run 7b1c) succeeded.\nThe run: {page}\n"
    assert capsys.readouterr().out == "labeling (run 7b1c) succeeded.\n"


def test_the_counts_of_a_retried_task_add_up(
    leave: Callable[..., Settings], capsys: pytest.CaptureFixture[str]
) -> None:
    lake = leave("r", ingested(found=3, ingested=2, quarantined=1), ingested(found=0))

    announce(lake, RunEnd("r", "COMPLETE"), run_id="r")

    assert f"Ingested: 3 new files in {SOURCE}, 2 images added, 1 quarantined." in capsys.readouterr().out


def test_notes_are_removed_only_after_the_notification_is_sent(leave: Callable[..., Settings], tmp_path: Path) -> None:
    lake = leave("r", ingested())
    notes = tmp_path / "lake" / "_status" / "runs" / "r"

    with pytest.raises(InputError, match=r"^smtp_host: "):
        announce(lake, RunEnd("r", "COMPLETE"), to="a@example.com", run_id="r")
    kept = notes.exists()
    announce(lake, RunEnd("r", "COMPLETE"), run_id="r")

    assert kept
    assert not notes.exists()


def test_a_task_outside_of_a_run_writes_no_note(leave: Callable[..., Settings], tmp_path: Path) -> None:
    leave("", ingested())

    assert not (tmp_path / "lake").exists()


def test_a_failure_to_write_a_note_is_printed(
    leave: Callable[..., Settings], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lake").write_text("a file")

    leave("r", ingested())

    assert capsys.readouterr().out.startswith("The notification lacks the figures of this task: ")


@pytest.mark.parametrize("lake", ["", "relative/lake", "ftp://host/lake", "/no/such/lake"])
def test_a_notification_without_a_lake_has_no_figures(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(Settings.load(lake=lake), RunEnd("r", "COMPLETE"), run_id="r")

    output = capsys.readouterr().out
    assert output.startswith("Run r succeeded.\n")
    assert "No new image" not in output


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"source": "s", "found": 0, "ever_found": "many"}', None]
)
def test_a_failure_to_read_notes_is_printed(
    note: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "_status" / "runs" / "r" / "ingest_images.json"
    path.parent.mkdir(parents=True)
    if note is None:
        path.mkdir()
    else:
        path.write_bytes(note)

    announce(Settings.load(lake=str(tmp_path)), RunEnd("r", "FAILED", "broken"), run_id="r")

    output = capsys.readouterr().out
    assert output.startswith("Run r failed: broken\n")
    assert "The figures of the tasks can't be read: " in output


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "smtp_host"),
        ({"smtp_host": "mail.example.com", "smtp_username": "someone"}, "smtp_password"),
        ({"smtp_host": "mail.example.com", "smtp_sender": "Pipelines <p@example.com>"}, "smtp_sender"),
    ],
)
def test_the_log_has_the_message_even_if_mail_settings_are_missing(
    values: dict[str, str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=f"^{field}: "):
        announce(Settings.load(**values), RunEnd("r", "COMPLETE"), to="a@example.com")

    assert capsys.readouterr().out == "Run r succeeded.\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a@example.com", ["a@example.com"]),
        ("a@example.com,b@example.com", ["a@example.com", "b@example.com"]),
        (" a@example.com , b@example.com, a@example.com", ["a@example.com", "b@example.com"]),
        ("pipelines@localhost", ["pipelines@localhost"]),
    ],
)
def test_comma_separated_addresses_are_returned_once_each(text: str, expected: list[str]) -> None:
    assert parse_addresses(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        "a@example.com,",
        "someone",
        "@example.com",
        "a@",
        "a@b@example.com",
        "a b@example.com",
        "a@example.com;b@example.com",
        "A <a@example.com>",
        '"a b"@example.com',
        "a..b@example.com",
        ".a@example.com",
        "a@-example.com",
        "a@example..com",
        "ä@example.com",
        "a@exämple.com",
        "a@example.com\n",
        "a@example.com\r\nBcc: e@example.com",
        "a@example.com\x00",
        "a" * 250 + "@example.com",
    ],
)
def test_an_invalid_address_is_an_error_in_one_line(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"\A'.*' is not an e-mail address\. Write it as name@example\.com\.\Z"
    ) as error:
        parse_addresses(text)

    assert str(error.value).isprintable()


@given(st.lists(addresses, min_size=1, unique=True))
def test_every_address_of_the_standard_is_valid(expected: list[str]) -> None:
    assert parse_addresses(", ".join(expected)) == expected


@given(texts)
def test_a_parsed_address_has_no_separator(text: str) -> None:
    try:
        parsed = parse_addresses(text)
    except ValueError:
        return
    assert all(
        address.isascii() and address.isprintable() and not set(address) & set(' ,;:<>"()[]\\') for address in parsed
    )


@given(texts, texts, texts, texts, st.lists(addresses, min_size=1, max_size=3, unique=True))
def test_no_text_adds_a_header_a_recipient_or_a_line(
    run: str, state: str, error: str, source: str, to: list[str]
) -> None:
    message = compose_message(RunEnd(run, state, error, run, run), [ingested(source=source), imported(source=source)])

    mail, recipients = compose(MAIL, message, ",".join(to))
    received = message_from_bytes(mail.as_bytes(), EmailMessage, policy=policy.default)

    assert recipients == to
    assert sorted(received.keys()) == HEADERS
    assert getaddresses([str(received["To"])]) == [("", address) for address in to]
    assert str(received["From"]) == "pipelines@example.com"
    # Python's folding duplicates or removes a blank beside an encoded word.
    assert str(received["Subject"]).replace(" ", "") == message.subject.replace(" ", "")
    assert received.get_content().splitlines() == list(message.sentences)
    assert mail.as_bytes().isascii()


@given(texts)
def test_one_line_keeps_every_visible_character(text: str) -> None:
    line = one_line(text)

    assert line.isprintable()
    assert line == " ".join(line.split())
    assert line.replace(" ", "") == "".join(character for character in text if character.isprintable()).replace(" ", "")
