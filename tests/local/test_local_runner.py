"""Errors of compiled pipelines that run on this machine."""

from pathlib import Path

import pytest
from kfp import compiler, dsl

from pipelines.catalogue import PipelineName
from pipelines.errors import RunFailed
from pipelines.local_runner import Event, run_compiled


@dsl.component(base_image="python", install_kfp_package=False)  # type: ignore[untyped-decorator]
def fail(log: str) -> None:
    """Write a line, and fail."""
    with open(log, "a") as file:
        file.write("tried\n")
    raise ValueError("lake: not set.")


@dsl.pipeline(name="failing")  # type: ignore[untyped-decorator]
def failing(log: str) -> None:
    """Fail in a group of tasks."""
    with dsl.If(log != ""):
        fail(log=log).set_retry(2, backoff_duration="1s")


@dsl.component(base_image="python", install_kfp_package=False)  # type: ignore[untyped-decorator]
def recover() -> str:
    """Print an error, like a step that retries, and succeed."""
    print("components.errors.TransientError: s3: away.")
    return "done"


@dsl.component(base_image="python", install_kfp_package=False)  # type: ignore[untyped-decorator]
def end_silently(after: str) -> None:
    """End like a killed process."""
    import os

    print(after, flush=True)
    os._exit(137)


@dsl.pipeline(name="silent")  # type: ignore[untyped-decorator]
def silent() -> None:
    """Fail without an error message, after a task that printed one."""
    end_silently(after=recover().output)


def test_failed_task_does_not_report_an_earlier_tasks_error(tmp_path: Path) -> None:
    compiler.Compiler().compile(silent, str(tmp_path / "silent.yaml"))

    with pytest.raises(RunFailed, match=r"^task 'end-silently' failed\. See /"):
        run_compiled(tmp_path / "silent.yaml", {}, tmp_path / "runs", {}, tmp_path / "run.log")

    assert "s3: away." in (tmp_path / "run.log").read_text()


def test_failed_local_task_is_not_retried(tmp_path: Path) -> None:
    # Tasks retry temporary errors themselves, and no pod can get lost on this machine.
    compiler.Compiler().compile(failing, str(tmp_path / "failing.yaml"))
    log = tmp_path / "log"

    with pytest.raises(RunFailed, match=r"^task 'fail' failed"):
        run_compiled(tmp_path / "failing.yaml", {"log": str(log)}, tmp_path / "runs", {}, tmp_path / "run.log")

    assert log.read_text().splitlines() == ["tried"]


def test_run_with_a_bad_parameter_ends_before_its_second_task(tmp_path: Path) -> None:
    events: list[Event] = []
    environment = {"IMAGE_PIPELINES_LAKE": str(tmp_path / "lake"), "MLFLOW_TRACKING_URI": "http://nobody-asks.example"}

    with pytest.raises(
        RunFailed,
        match=r"^task 'check-parameters' failed\. export_options\.fracton: unknown key\. Did you mean fraction\? See /",
    ):
        run_compiled(
            PipelineName.SCORING.compiled,
            {"source": str(tmp_path), "destination": str(tmp_path), "export_options": {"fracton": 1.0}},
            tmp_path / "runs",
            environment,
            tmp_path / "run.log",
            events.append,
        )

    assert {event.task for event in events if event.kind == "task_started"} == {"check-parameters", "notify"}
    assert not (tmp_path / "lake").exists()
