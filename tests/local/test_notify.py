"""The exit task in kfp.local, and what it reads of a real ingest."""

from pathlib import Path

import pytest
from kfp import compiler, dsl

from components import container_images
from components.ingest_images.ingest import ingest_folder
from components.lake import Lake
from components.notify.component import notify
from components.notify.message import RunEnd
from components.notify.notify import announce
from components.settings import Settings
from pipelines.local_runner import PipelineFailed, run_compiled


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)  # type: ignore[untyped-decorator]
def work(fail: bool) -> None:
    """Fail or not."""
    if fail:
        raise ValueError("work is broken")


@dsl.pipeline(name="image-work")  # type: ignore[untyped-decorator]
def pipeline(fail: bool, to: str = "", lake: str = "") -> None:
    """A pipeline of one task, under the exit task."""
    with dsl.ExitHandler(notify(to=to, lake=lake, pipeline="image-work")):
        work(fail=fail)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


def test_a_run_that_succeeded_is_told_as_such(compiled: Path, tmp_path: Path) -> None:
    run_compiled(compiled, {"fail": False}, tmp_path / "runs", {}, tmp_path / "log")

    log = (tmp_path / "log").read_text()
    assert "image-work (run local-pipeline-exit-handler-1) succeeded.\n" in log


def test_a_run_that_failed_is_told_as_such(compiled: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineFailed, match=r"^task 'work' failed"):
        run_compiled(compiled, {"fail": True}, tmp_path / "runs", {}, tmp_path / "log")

    log = (tmp_path / "log").read_text()
    assert "image-work (run local-pipeline-exit-handler-1) failed: " in log
    assert "The log of the task that failed says why.\n" in log


def test_a_notification_that_can_not_be_sent_fails_its_task_with_one_sentence(compiled: Path, tmp_path: Path) -> None:
    arguments = {"fail": False, "to": "ann@example.com"}

    with pytest.raises(PipelineFailed, match=r"^task 'notify' failed\. smtp_host: not set, so no e-mail can be sent"):
        run_compiled(compiled, arguments, tmp_path / "runs", {"IMAGE_PIPELINES_SMTP_HOST": ""}, tmp_path / "log")

    assert "image-work (run local-pipeline-exit-handler-1) succeeded.\n" in (tmp_path / "log").read_text()


def test_an_ingest_that_found_nothing_is_told_of(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "landing").mkdir()
    source = f"file://{tmp_path / 'landing'}"
    settings = Settings.load(lake=lake.root)

    announce(settings, RunEnd("r", "COMPLETE"), ingests="unlabelled")
    before = capsys.readouterr().out
    ingest_folder(lake, source, "*.jpg", None)
    announce(settings, RunEnd("r", "COMPLETE"), ingests="unlabelled")

    assert before == "Run r succeeded.\n"
    assert f"No new image was found in {source} (ingest of " in capsys.readouterr().out
