"""The exit task in kfp.local, and the figures of a real ingest."""

from pathlib import Path

import pytest
from kfp import compiler, dsl

from components import container_images
from components.ingest_images.ingest import ingest
from components.lake import Lake
from components.notify.component import notify
from components.notify.message import RunEnd
from components.notify.notify import announce
from components.pipeline_run import RUN_ID_VARIABLE
from components.settings import Settings
from pipelines.errors import RunFailed
from pipelines.local_runner import run_compiled


@dsl.component(base_image=container_images.SPARK, install_kfp_package=False)  # type: ignore[untyped-decorator]
def work(fail: bool) -> None:
    """Fail if requested."""
    if fail:
        raise ValueError("work is broken")


@dsl.pipeline(name="image-work")  # type: ignore[untyped-decorator]
def pipeline(fail: bool, to: str = "", lake: str = "") -> None:
    """A pipeline of one task with an exit task."""
    with dsl.ExitHandler(notify(to=to, lake=lake, pipeline="image-work")):
        work(fail=fail)


def run(folder: Path) -> str:
    """Return the name of the pipeline and of its one local run, which is the run's folder."""
    (run_folder,) = (folder / "runs").iterdir()
    return f"image-work (run {run_folder.name})"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path


def test_successful_run_is_reported_as_successful(compiled: Path, tmp_path: Path) -> None:
    run_compiled(compiled, {"fail": False}, tmp_path / "runs", {}, tmp_path / "log")

    log = (tmp_path / "log").read_text()
    assert f"{run(tmp_path)} succeeded.\n" in log


def test_failed_run_is_reported_as_failed(compiled: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"^task 'work' failed"):
        run_compiled(compiled, {"fail": True}, tmp_path / "runs", {}, tmp_path / "log")

    log = (tmp_path / "log").read_text()
    assert f"{run(tmp_path)} failed: " in log
    assert "The log of the failed task shows the cause.\n" in log


def test_notification_that_cannot_be_sent_fails_its_task_with_one_sentence(compiled: Path, tmp_path: Path) -> None:
    arguments = {"fail": False, "to": "ann@example.com"}

    with pytest.raises(RunFailed, match=r"^task 'notify' failed\. smtp_host: not set, so no e-mail can be sent"):
        run_compiled(compiled, arguments, tmp_path / "runs", {"IMAGE_PIPELINES_SMTP_HOST": ""}, tmp_path / "log")

    assert f"{run(tmp_path)} succeeded.\n" in (tmp_path / "log").read_text()


def test_message_mentions_an_ingest_without_new_files(
    lake: Lake, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    settings = Settings.load(lake=lake.root)

    def notification(run_id: str) -> list[str]:
        monkeypatch.setenv(RUN_ID_VARIABLE, run_id)
        ingest(settings, str(landing), labeled=False)
        capsys.readouterr()
        announce(settings, RunEnd(run_id, "COMPLETE"), run_id=run_id)
        return capsys.readouterr().out.splitlines()[1:]

    before = notification("a")
    (landing / "a.jpg").write_bytes(b"no image")
    arrived, dry = notification("b"), notification("c")

    assert before == [f"Nothing has ever been found in file://{landing}. Check the URI unless no image has landed yet."]
    assert arrived == [f"Ingested: 1 new files in file://{landing}, 0 images added, 1 quarantined."]
    assert dry == [f"No new image was found in file://{landing}."]
