"""What people are told of a run, and that an e-mail is just that message to just those people."""

import json
import os
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.notify.addresses import parse_addresses
from components.notify.last_ingest import LastIngest
from components.notify.mail import compose
from components.notify.message import RunEnd, add_dry_source, one_line, run_ended
from components.notify.notify import announce
from components.settings import ENVIRONMENT_PREFIX, Settings

MAIL = Settings.load(smtp_host="mail.example.com", smtp_sender="pipelines@example.com")
HEADERS = [
    *("Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From"),
    *("MIME-Version", "Message-ID", "Subject", "To"),
]
SOURCE = "s3a://landing/labelled"
LINE_BREAKS = "\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029"

# Line breaks are what an attack on a header is made of, and rare in arbitrary text.
texts = st.lists(
    st.text() | st.sampled_from([*LINE_BREAKS, "\r\nBcc: e@example.com\r\n", "\r\n.\r\n"]), max_size=5
).map("".join)
# Hypothesis draws from all that the standard allows.
addresses = st.emails().filter(lambda address: len(address) <= 254)


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)]:
        monkeypatch.delenv(name)


def write_status(lake: Path, **changes: Any) -> Settings:
    """Write the outcome of an ingest that found nothing, and return the settings that name its lake."""
    status = {
        "finished_at": "2026-03-01T04:05:06+00:00",
        "source": SOURCE,
        "found": 0,
        "ingested": 0,
        "quarantined": 0,
        **changes,
    }
    (lake / "_status").mkdir(parents=True)
    (lake / "_status" / "ingest_unlabelled.json").write_text(json.dumps(status))
    return Settings.load(lake=str(lake))


@pytest.mark.parametrize(
    ("end", "sentences"),
    [
        # The backend's word, and kfp.local's.
        (RunEnd("nightly-1-2", "COMPLETE", "", "image-scoring"), ("image-scoring (run nightly-1-2) succeeded.",)),
        (RunEnd("local-pipeline-exit-handler-1", "SUCCEEDED"), ("Run local-pipeline-exit-handler-1 succeeded.",)),
        (
            RunEnd("nightly-1-2", "FAILED", "lake: not set.", "image-scoring"),
            (
                "image-scoring (run nightly-1-2) failed: lake: not set.",
                "The log of the task that failed says why.",
            ),
        ),
        (RunEnd("r", "FAILED"), ("Run r failed.", "The log of the task that failed says why.")),
        (RunEnd("r", "CANCELLED"), ("Run r was cancelled.",)),
        (RunEnd("r", "SKIPPED"), ("Run r ended in the state 'SKIPPED'.",)),
        (RunEnd("r", ""), ("Run r ended in an unknown state.",)),
    ],
)
def test_a_message_says_which_run_ended_and_how(end: RunEnd, sentences: tuple[str, ...]) -> None:
    message = run_ended(end)

    assert message.sentences == sentences
    assert message.subject.startswith(f"{end.pipeline or end.run} ")
    assert ("succeeded" in message.subject) == (end.state in {"COMPLETE", "SUCCEEDED"})


def test_a_dry_source_is_named_with_the_time_in_utc(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = write_status(tmp_path / "lake", finished_at="2026-03-01T06:05:06+02:00")

    announce(lake, RunEnd("r", "COMPLETE", "", "image-scoring"), ingests="unlabelled")

    assert capsys.readouterr().out.splitlines() == [
        "image-scoring (run r) succeeded.",
        "No new image was found in s3a://landing/labelled (ingest of 2026-03-01 04:05 UTC).",
    ]


def test_a_run_that_failed_names_no_source_which_may_be_of_the_run_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(write_status(tmp_path / "lake"), RunEnd("r", "FAILED"), ingests="unlabelled")

    assert "No new image" not in capsys.readouterr().out


def test_a_pipeline_of_labelled_images_does_not_hear_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announce(write_status(tmp_path / "lake"), RunEnd("r", "COMPLETE"), ingests="labelled")

    assert "No new image" not in capsys.readouterr().out


def test_a_source_that_brought_images_is_not_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce(write_status(tmp_path / "lake", found=1), RunEnd("r", "COMPLETE"), ingests="unlabelled")

    assert capsys.readouterr().out == "Run r succeeded.\n"


def test_a_pipeline_that_does_not_ingest_mentions_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce(write_status(tmp_path / "lake"), RunEnd("r", "COMPLETE"))

    assert capsys.readouterr().out == "Run r succeeded.\n"


@pytest.mark.parametrize("lake", ["", "relative/lake", "ftp://host/lake", "/no/such/lake"])
def test_without_a_lake_the_message_has_no_source(lake: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce(Settings.load(lake=lake), RunEnd("r", "COMPLETE"), ingests="unlabelled")

    output = capsys.readouterr().out
    assert output.startswith("Run r succeeded.\n")
    assert "No new image" not in output


@pytest.mark.parametrize(
    "status", [b"", b"{", b"[]", b"{}", b"\xff\xfe", b'{"source": "s", "found": 0, "finished_at": "2026-03-01"}', None]
)
def test_a_status_that_can_not_be_read_is_left_out(
    status: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "_status" / "ingest_unlabelled.json"
    path.parent.mkdir()
    if status is None:
        path.mkdir()
    else:
        path.write_bytes(status)

    announce(Settings.load(lake=str(tmp_path)), RunEnd("r", "FAILED", "broken"))

    output = capsys.readouterr().out
    assert output.startswith("Run r failed: broken\n")
    assert "No new image" not in output


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "smtp_host"),
        ({"smtp_host": "mail.example.com", "smtp_username": "someone"}, "smtp_password"),
        ({"smtp_host": "mail.example.com", "smtp_sender": "Pipelines <p@example.com>"}, "smtp_sender"),
    ],
)
def test_missing_settings_are_named_after_the_log_has_the_message(
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
def test_addresses_are_separated_by_commas_and_each_counts_once(text: str, expected: list[str]) -> None:
    assert parse_addresses(text, "to") == expected


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
def test_what_is_no_plain_address_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(
        InputError, match=r"\Ato: '.*' is no e-mail address\. Write it as name@example\.com\.\Z"
    ) as error:
        parse_addresses(text, "to")

    assert str(error.value).isprintable()


@given(st.lists(addresses, min_size=1, unique=True))
def test_every_address_that_the_standard_allows_is_taken(expected: list[str]) -> None:
    assert parse_addresses(", ".join(expected), "to") == expected


@given(texts)
def test_whatever_the_text_addresses_have_no_room_for_more(text: str) -> None:
    try:
        parsed = parse_addresses(text, "to")
    except InputError:
        return
    assert all(
        address.isascii() and address.isprintable() and not set(address) & set(' ,;:<>"()[]\\') for address in parsed
    )


@given(texts, texts, texts, texts, st.lists(addresses, min_size=1, max_size=3, unique=True))
def test_no_text_adds_a_header_a_recipient_or_a_line(
    run: str, state: str, error: str, source: str, to: list[str]
) -> None:
    message = add_dry_source(
        run_ended(RunEnd(run, state, error, run)), LastIngest(finished_at=datetime.now(UTC), source=source, found=0)
    )

    mail, recipients = compose(MAIL, message, ",".join(to))
    received = message_from_bytes(mail.as_bytes(), EmailMessage, policy=policy.default)

    assert recipients == to
    assert sorted(received.keys()) == HEADERS
    assert getaddresses([str(received["To"])]) == [("", address) for address in to]
    assert str(received["From"]) == "pipelines@example.com"
    # Python's folding doubles or drops a blank beside an encoded word.
    assert str(received["Subject"]).replace(" ", "") == message.subject.replace(" ", "")
    assert received.get_content().splitlines() == list(message.sentences)
    assert mail.as_bytes().isascii()


@given(texts)
def test_one_line_is_one_line_and_keeps_every_visible_character(text: str) -> None:
    line = one_line(text)

    assert line.isprintable()
    assert line == " ".join(line.split())
    assert line.replace(" ", "") == "".join(character for character in text if character.isprintable()).replace(" ", "")
