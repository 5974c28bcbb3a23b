"""The doctor runs each check on its own, and reports what it found."""

import io
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.errors import InputError, TransientError
from components.settings import Settings, variable
from pipelines.cli import app
from pipelines.doctor.context import Context
from pipelines.doctor.examine import Checked, examine, run_check
from pipelines.doctor.finding import Finding, Level, error, guarded, of_exception, ok, warning
from pipelines.doctor.formats import ReportFormat
from pipelines.doctor.names import CheckName
from pipelines.doctor.report import write_report


def test_error_of_a_step_is_split_into_problem_and_remedy() -> None:
    found = of_exception(InputError("source: folder '/a' not found. Check the path, or mount it."), "labeled_source")

    assert found == error("labeled_source: folder '/a' not found.", "Check the path, or mount it.")


@pytest.mark.parametrize("field", ["endpoint", "API server", "nodes (all)"])
def test_error_that_begins_with_its_field_does_not_repeat_it(field: str) -> None:
    found = of_exception(TransientError(f"{field}: does not respond. Check the network."), field)

    assert found == error(f"{field}: does not respond.", "Check the network.")


def test_failed_check_keeps_its_findings_and_adds_its_exception() -> None:
    def check() -> Iterator[Finding]:
        yield ok("first")
        raise TransientError("store: it does not answer. Check the network.")

    assert run_check(check, 60, "any") == [ok("first"), error("store: it does not answer.", "Check the network.")]


def test_unexpected_exception_is_a_finding_with_a_trace_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def check() -> Iterator[Finding]:
        yield ok("first")
        raise ZeroDivisionError("by nothing")

    first, second = run_check(check, 60, "any")

    assert (first, second.level, second.what) == (ok("first"), Level.ERROR, "ZeroDivisionError: by nothing.")
    assert caplog.records[0].exc_info is not None


def test_part_that_fails_does_not_stop_the_other_parts() -> None:
    def check(name: str) -> Iterator[Finding]:
        if name == "bad":
            raise InputError("source: wrong. Correct it.")
        yield ok(name)

    def parts() -> Iterator[Finding]:
        for name in ("good", "bad", "better"):
            yield from guarded(partial(check, name), name)

    assert run_check(parts, 60, "any") == [ok("good"), error("bad: wrong.", "Correct it."), ok("better")]


def test_check_that_does_not_end_is_a_finding() -> None:
    def check() -> Iterator[Finding]:
        yield ok("first")
        time.sleep(600)

    first, second = run_check(check, 0.5, "stores")

    assert first == ok("first")
    assert second.what == "stores: this check did not end within 0.5 s."


def test_invalid_setting_is_the_only_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable("lakke"), "/data/lake")

    (checked,) = examine("", Context)

    assert checked.name is CheckName.SETTINGS
    assert checked.findings == (error(f"{variable('lakke')}: unknown setting.", "Did you mean IMAGE_PIPELINES_LAKE?"),)


RESULTS = [
    Checked(CheckName.LOCKS, (ok("lock: free."),)),
    Checked(CheckName.LAG, (warning("lag: late.", "Look."),)),
]


def test_text_report_names_each_check_and_counts_the_findings() -> None:
    stream = io.StringIO()

    assert write_report(RESULTS, ReportFormat.TEXT, stream) is Level.WARNING
    assert stream.getvalue().splitlines() == [
        "locks",
        "  ok      lock: free.",
        "lag",
        "  WARNING lag: late.",
        "          Look.",
        "0 errors, 1 warnings, 1 ok",
    ]


def test_json_report_has_all_findings() -> None:
    stream = io.StringIO()

    write_report(RESULTS, ReportFormat.JSON, stream)

    assert json.loads(stream.getvalue()) == {
        "level": "warning",
        "findings": [
            {"check": "locks", "level": "ok", "what": "lock: free.", "remedy": ""},
            {"check": "lag", "level": "warning", "what": "lag: late.", "remedy": "Look."},
        ],
    }


@pytest.mark.parametrize(("source", "code"), [("arriving", 0), ("lake/images", 1)])
def test_command_fails_if_there_is_an_error(
    source: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_UNLABELED_SOURCE", str(tmp_path / source))

    result = CliRunner().invoke(app, ["doctor", "folders", "--lake", str(tmp_path / "lake"), "--format", "json"])

    assert result.exit_code == code
    assert {each["check"] for each in json.loads(result.stdout)["findings"]} == {"folders"}


def test_json_report_is_alone_on_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: CheckName, context: Context) -> Iterator[Finding]:
        print("progress: waiting for a lock")
        yield ok(f"{name}: free.")

    monkeypatch.setattr("pipelines.doctor.examine.findings_of", check)

    result = CliRunner().invoke(app, ["doctor", "locks", "--format", "json"])

    assert [each["what"] for each in json.loads(result.stdout)["findings"]] == ["locks: free."]
    assert "progress: waiting for a lock" in result.stderr


def test_laptop_needs_no_cluster_and_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KUBECONFIG", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    context = Context(Settings())

    assert (context.uses_cluster, context.uses_server, context.runs) == (False, False, ())
