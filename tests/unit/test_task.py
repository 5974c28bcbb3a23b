"""A KFP task retries transient errors, and writes the message of a failure to the termination log."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tenacity import wait_none

from components import task
from components.errors import InputError, TransientError
from components.task import TERMINATION_LOG_BYTES, TRIES, run_task
from pipelines.cli import main
from pipelines.error_lines import error_sentence


@pytest.fixture
def termination_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "termination-log"
    file.touch()
    monkeypatch.setattr(task, "TERMINATION_LOG", file)
    return file


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "PAUSE", wait_none())


class Step:
    """A step that raises one error after another, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = iter(errors)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        for error in self.errors:
            raise error
        return "outputs"


@pytest.mark.usefixtures("_no_pause")
def test_a_step_with_two_transient_errors_succeeds_in_its_third_try(
    termination_log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    step = Step(TransientError("s3: away."), ConnectionResetError(104, "Connection reset by peer"))

    assert run_task(step) == "outputs"

    assert step.tries == TRIES == 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "Try 1 of 3 failed, the next one starts in 0 s: s3: away." in caplog.text
    assert termination_log.read_text() == ""


@pytest.mark.usefixtures("_no_pause")
def test_the_third_transient_error_ends_the_task_with_its_message(termination_log: Path) -> None:
    step = Step(*(TransientError(f"lake: lost {number}.") for number in range(9)))

    with pytest.raises(TransientError, match=r"^lake: lost 2\. 3 tries failed\.") as raised:
        run_task(step)

    assert step.tries == 3
    assert termination_log.read_text() == str(raised.value)


@pytest.mark.usefixtures("_no_pause")
def test_a_transient_error_of_a_library_ends_the_task_with_one_line(termination_log: Path) -> None:
    step = Step(*[ConnectionRefusedError(111, "Connection refused\nand a page of Java")] * 3)

    with pytest.raises(TransientError, match=r"^ConnectionRefusedError: \[Errno 111\] Connection refused\. 3 tries"):
        run_task(step)

    assert "Java" not in termination_log.read_text()


def test_bad_input_ends_the_task_without_a_retry(termination_log: Path) -> None:
    step = Step(InputError("source: folder 's3a://a/b' not found. Check the URI."))

    with pytest.raises(InputError, match=r"^source: folder"):
        run_task(step)

    assert step.tries == 1
    assert termination_log.read_text() == "source: folder 's3a://a/b' not found. Check the URI."


def test_another_error_ends_the_task_without_a_retry(termination_log: Path) -> None:
    step = Step(KeyError("path"))

    with pytest.raises(KeyError):
        run_task(step)

    assert step.tries == 1
    assert termination_log.read_text() == "KeyError: 'path'"


def test_a_lock_timeout_ends_the_task_without_a_retry(termination_log: Path) -> None:
    # The step has already waited for the configured time.
    step = Step(TimeoutError("'images' of the lake is locked by pod 'a'; waited 600 s. Wait until that task ends."))

    with pytest.raises(TimeoutError):
        run_task(step)

    assert step.tries == 1
    assert "is locked by pod 'a'" in termination_log.read_text()


def test_the_termination_log_has_only_the_message_of_a_python_worker(termination_log: Path) -> None:
    page = "Job aborted.\n  File x.py\ncomponents.errors.InputError: destination: no access. Grant it.\n\tat org.Spark"
    step = Step(ValueError(page))

    with pytest.raises(ValueError, match="Job aborted"):
        run_task(step)

    assert termination_log.read_text() == "destination: no access. Grant it."


def test_the_termination_log_has_the_first_cause_of_an_exception_of_java(termination_log: Path) -> None:
    page = (
        "An error occurred while calling o7.load.\n: org.apache.spark.SparkException: no scheduler\n\tat org.Spark\n"
        "Caused by: java.io.IOException: later\n\tat java.io\nCaused by: java.lang.IllegalStateException: first\n\tat x"
    )
    step = Step(ValueError(page))

    with pytest.raises(ValueError, match="no scheduler"):
        run_task(step)

    said = "ValueError: An error occurred while calling o7.load, because of java.lang.IllegalStateException: first"
    assert termination_log.read_text() == said


def test_a_full_disk_ends_the_task_without_a_retry(termination_log: Path) -> None:
    with pytest.raises(
        InputError, match=r"^disk: no space is left \(OSError: \[Errno 28\].*\)\. Free some space"
    ) as raised:
        run_task(lambda: Path("/dev/full").write_bytes(bytes(2**20)))

    assert termination_log.read_text() == str(raised.value)


@pytest.mark.usefixtures("_no_pause", "termination_log")
@pytest.mark.parametrize(
    "cause",
    ["java.io.IOException: No space left on device", "OSError: [Errno 122] Disk quota exceeded: '/lake'"],
)
def test_a_full_disk_is_not_retried_even_if_it_broke_a_connection(cause: str) -> None:
    error = ConnectionResetError(104, "Connection reset by peer")
    error.__cause__ = RuntimeError(cause)
    step = Step(error, error)

    with pytest.raises(InputError, match=r"^disk: no space is left "):
        run_task(step)

    assert step.tries == 1


def test_a_command_ends_with_one_sentence_if_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.cli.app", lambda: Path("/dev/full").write_bytes(bytes(2**20)))

    with pytest.raises(SystemExit):
        main()

    assert capsys.readouterr().err == (
        "disk: no space is left (OSError: [Errno 28] No space left on device). Free some space, then run this step"
        " again.\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("components.errors.InputError: epochs: 0. Give more.", "epochs: 0. Give more."),
        ("OSError: [Errno 28] No space left on device: '/runs/a'", "disk: no space is left (OSError: [Errno 28] No"),
        (
            "components.errors.InputError: disk: no space is left (No space left on device).",
            "disk: no space is left (No",
        ),
        ("INFO - 28 files left", ""),
    ],
)
def test_a_line_of_a_log_is_explained(line: str, sentence: str) -> None:
    assert error_sentence(line).startswith(sentence)
    assert bool(error_sentence(line)) == bool(sentence)


def test_a_long_message_is_cut_at_its_end(termination_log: Path) -> None:
    sentence = "start " + "ü" * TERMINATION_LOG_BYTES
    with pytest.raises(InputError):
        run_task(Step(InputError(sentence)))

    written = termination_log.read_bytes()
    assert written.decode().startswith("start ü")
    assert TERMINATION_LOG_BYTES - 1 <= len(written) <= TERMINATION_LOG_BYTES


def test_a_message_replaces_a_longer_one(termination_log: Path) -> None:
    termination_log.write_text("of an earlier failure, and long")
    with pytest.raises(InputError):
        run_task(Step(InputError("lake: not set.")))

    assert termination_log.read_text() == "lake: not set."


@pytest.fixture(params=["absent", "folder"])
def no_log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A termination log that can't be written to."""
    file = tmp_path / "log"
    if request.param == "folder":
        file.mkdir()
    monkeypatch.setattr(task, "TERMINATION_LOG", file)
    existed = file.exists()
    yield file
    assert file.exists() == existed


@pytest.mark.usefixtures("no_log")
def test_an_error_is_raised_even_if_the_termination_log_is_not_writable() -> None:
    with pytest.raises(InputError, match=r"^lake: not set\.$"):
        run_task(Step(InputError("lake: not set.")))


def test_pauses_between_tries_grow_up_to_60_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", pauses.append)

    with pytest.raises(TransientError):
        run_task(Step(*[TransientError("away.")] * 3))

    assert pauses == sorted(set(pauses))
    assert 1 <= pauses[0] < pauses[-1] <= 60


def test_ctrl_c_ends_the_task_without_a_retry() -> None:
    calls: list[int] = []

    def step() -> None:
        calls.append(1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_task(step)

    assert len(calls) == 1
