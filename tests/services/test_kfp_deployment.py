"""The commands against the server of Kubeflow Pipelines: uploads, runs, and recurring runs."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from components.errors import InputError
from pipelines.catalogue import COMPILED
from pipelines.cli import app
from pipelines.deployment import compiled as compiled_module
from pipelines.deployment import runs
from pipelines.deployment.compiled import read_compiled
from pipelines.errors import RunFailed
from tests.services.kfp_server import KfpServer, running_kfp_server

NAMES = ("image-training", "image-scoring", "image-labeling", "image-maintenance")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    """An empty server, set in the environment."""
    for name in [name for name in os.environ if name.startswith("KF_PIPELINES_")]:
        monkeypatch.delenv(name)
    # KFP's client stores the last namespace here.
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with running_kfp_server() as running:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", running.url)
        yield running


def command(*arguments: str) -> Result:
    """Run a command in this process, and raise its errors."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def schedule_file(folder: Path, *entries: dict[str, Any]) -> str:
    """Write a file of recurring runs, by default of the scoring pipeline, named `daily`."""
    path = folder / "schedules.yaml"
    path.write_text(
        yaml.safe_dump({"schedules": [{"name": "daily", "pipeline": "scoring", **each} for each in entries]})
    )
    return str(path)


BY_HAND = {"cron": "0 0 4 * * *"}
DAILY = {"cron": "0 0 2 * * *"}
LATER = {"cron": "0 30 2 * * *", "parameters": {"threshold": 0.9}}


def apply(file: str, *options: str) -> Result:
    return command("schedule", "apply", "--file", file, *options)


@pytest.fixture
def scoring(server: KfpServer) -> str:
    """Upload the scoring pipeline, and return the name of its version."""
    command("upload", "scoring")
    server.requests.clear()
    return server.versions_of("image-scoring")[0]


def test_upload_creates_each_pipeline_with_a_version_named_by_content(server: KfpServer) -> None:
    command("upload")

    assert sorted(each.name for each in server.pipelines.values()) == sorted(NAMES)
    for name in ("training", "scoring", "labeling"):
        assert server.versions_of(f"image-{name}") == [read_compiled(COMPILED / f"{name}.yaml").version]
    assert all(each.pipeline_spec["platform_spec"] for each in server.versions.values())


def test_second_upload_changes_nothing(server: KfpServer, scoring: str) -> None:
    result = command("upload", "scoring")

    assert server.writes == []
    assert f"image-scoring: unchanged ({scoring})" in result.output


def test_changed_content_adds_a_version(
    server: KfpServer, scoring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(COMPILED, tmp_path / "compiled")
    changed = tmp_path / "compiled" / "scoring.yaml"
    changed.write_text(changed.read_text().replace("defaultValue: 0.95", "defaultValue: 0.9"))
    monkeypatch.setattr(compiled_module, "COMPILED", tmp_path / "compiled")

    command("upload", "scoring")

    assert len(server.pipelines) == 1
    assert server.versions_of("image-scoring") == [scoring, read_compiled(changed).version]
    assert read_compiled(changed).version != scoring


def test_upload_for_a_registry_names_its_images(server: KfpServer, scoring: str) -> None:
    command("upload", "scoring", "--registry", "registry.example.com/team", "--tag", "7")

    newest = list(server.versions.values())[-1]
    executors = newest.pipeline_spec["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {
        "registry.example.com/team/image-pipelines/spark-python:7"
    }
    assert newest.name != scoring


def test_dry_run_writes_nothing(server: KfpServer, tmp_path: Path) -> None:
    assert "image-scoring: created" in command("upload", "scoring", "--dry-run").output
    assert server.writes == []
    command("upload", "scoring")
    file = schedule_file(tmp_path, DAILY)
    server.requests.clear()
    assert "daily: created" in apply(file, "--dry-run").output
    assert server.writes == []
    apply(file)
    server.requests.clear()
    command("schedule", "pause", "--all", "--dry-run")
    apply(schedule_file(tmp_path), "--prune", "--dry-run")
    output = apply(schedule_file(tmp_path, LATER), "--dry-run").output
    assert server.writes == []
    assert "daily: replaced" in output
    assert "cron: 0 0 2 * * * -> 0 30 2 * * *" in output
    assert 'parameters: {} -> {"threshold": 0.9}' in output
    assert "version" not in output


def test_apply_creates_recurring_run_with_fields_of_the_file(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, {**LATER, "experiment": "nightly", "service_account": "worker"}))

    (created,) = server.recurring_runs.values()
    assert (created.display_name, created.status, created.max_concurrency, created.no_catchup) == (
        "daily",
        "ENABLED",
        "1",
        True,
    )
    assert created.trigger.cron_schedule.cron == "0 30 2 * * *"
    assert created.runtime_config.parameters == {"threshold": 0.9}
    assert server.versions[created.pipeline_version_reference.pipeline_version_id].name == scoring
    assert server.experiments[created.experiment_id].display_name == "nightly"
    assert created.service_account == "worker"


def test_second_apply_changes_nothing(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, DAILY, {**LATER, "name": "off", "enabled": False})
    apply(file)
    server.requests.clear()

    output = apply(file).output

    assert server.writes == []
    assert "daily: unchanged" in output
    assert "off: unchanged" in output


def test_committed_schedules_can_be_applied(server: KfpServer) -> None:
    command("upload")
    command("schedule", "apply")

    assert sorted(each.display_name for each in server.recurring_runs.values()) == [
        "image-labeling-daily",
        "image-maintenance-weekly",
        "image-scoring-daily",
        "image-training-weekly",
    ]


def test_changed_schedule_replaces_recurring_run_and_keeps_its_runs(
    server: KfpServer, scoring: str, tmp_path: Path
) -> None:
    apply(schedule_file(tmp_path, DAILY))
    (old,) = server.recurring_runs
    enabled: list[int] = []
    server.after_write = lambda count: enabled.append(len(server.enabled("daily")))
    server.requests.clear()

    apply(schedule_file(tmp_path, LATER))

    (new,) = server.enabled("daily")
    assert list(server.recurring_runs) == [new.recurring_run_id]
    assert new.trigger.cron_schedule.cron == "0 30 2 * * *"
    assert server.deleted == {old: "ORPHAN"}
    # Created disabled, enabled, and then the old one is deleted: at least one is enabled at any time.
    assert enabled == [1, 2, 1]
    assert len(server.writes) == 3


def test_new_version_replaces_recurring_run(
    server: KfpServer, scoring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    shutil.copytree(COMPILED, tmp_path / "compiled")
    changed = tmp_path / "compiled" / "scoring.yaml"
    changed.write_text(changed.read_text().replace("defaultValue: 0.95", "defaultValue: 0.9"))
    monkeypatch.setattr(compiled_module, "COMPILED", tmp_path / "compiled")
    with pytest.raises(
        InputError, match=r"^version: 'image-scoring-\w+' of image-scoring not found on .* Upload it first"
    ):
        apply(file)
    command("upload", "scoring")

    output = apply(file).output

    (new,) = server.enabled("daily")
    version = server.versions[new.pipeline_version_reference.pipeline_version_id].name
    assert version == read_compiled(changed).version
    assert f"version: {scoring} -> {version}" in output
    # The file can pin the older version.
    apply(schedule_file(tmp_path, {**DAILY, "version": scoring}))
    (pinned,) = server.enabled("daily")
    assert server.versions[pinned.pipeline_version_reference.pipeline_version_id].name == scoring


def test_apply_reads_all_pages_of_recurring_runs(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, *({**DAILY, "name": f"daily-{number}"} for number in range(5)))
    apply(file)
    server.largest_page = 2
    server.requests.clear()

    apply(file)

    assert server.writes == []
    assert len(server.recurring_runs) == 5


def test_others_recurring_runs_stay_and_prune_deletes_removed_ones(
    server: KfpServer, scoring: str, tmp_path: Path
) -> None:
    apply(schedule_file(tmp_path, DAILY, {**DAILY, "name": "gone"}))
    others = dict(server.recurring_runs)
    for each in others.values():
        if each.display_name == "gone":
            ours = each.recurring_run_id
    copy = recurring_run_by_hand(server, "daily")
    file = schedule_file(tmp_path, DAILY)
    server.requests.clear()

    assert "gone: not in the file, unchanged" in apply(file).output
    assert server.writes == []
    assert "gone: deleted" in apply(file, "--prune").output
    assert list(server.deleted) == [ours]
    assert copy in server.recurring_runs


def recurring_run_by_hand(server: KfpServer, name: str, description: str = "Somebody's.") -> str:
    """Create a recurring run as the UI does; return its id."""
    first = next(iter(server.recurring_runs.values()))
    body = {
        "display_name": name,
        "description": description,
        "experiment_id": first.experiment_id,
        "pipeline_version_reference": {
            "pipeline_id": first.pipeline_version_reference.pipeline_id,
            "pipeline_version_id": first.pipeline_version_reference.pipeline_version_id,
        },
        "runtime_config": {"parameters": {}},
        "max_concurrency": "1",
        "mode": "ENABLE",
        "trigger": {"cron_schedule": BY_HAND},
    }
    return str(server.create_recurring_run({}, body).recurring_run_id)


def test_pause_disables_and_apply_enables(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    by_hand = recurring_run_by_hand(server, "others")

    assert "daily: disabled" in command("schedule", "pause", "daily").output
    assert server.enabled("daily") == []
    server.requests.clear()
    command("schedule", "pause", "--all")
    assert server.writes == []
    assert server.recurring_runs[by_hand].status == "ENABLED"
    assert "enabled: false -> true" in apply(file).output
    assert len(server.enabled("daily")) == 1
    with pytest.raises(InputError, match=r"^names: .* no recurring run 'others' .* Existing names: daily\.$"):
        command("schedule", "pause", "others")


def test_list_shows_state_version_and_creator(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, {**DAILY, "enabled": False}))
    recurring_run_by_hand(server, "by-hand")

    ours, others = CliRunner().invoke(app, ["schedule", "list"], env={"COLUMNS": "200"}).output.splitlines()[1:]

    assert ours.split() == ["daily", "disabled", *DAILY["cron"].split(), scoring, "apply"]
    assert others.split() == ["by-hand", "enabled", *BY_HAND["cron"].split(), scoring, "others"]


def killed_after(server: KfpServer, write: int, arguments: Sequence[str]) -> None:
    """Run a command in a new process, and kill it after a write of the server, before the response."""
    process = None

    def kill(count: int) -> None:
        if count == write:
            assert process is not None
            process.send_signal(signal.SIGKILL)
            process.wait()

    server.requests.clear()
    server.after_write = kill
    process = subprocess.Popen([sys.executable, "-m", "pipelines", *arguments], stdout=subprocess.DEVNULL)
    assert process.wait() == -signal.SIGKILL
    server.after_write = lambda count: None
    server.requests.clear()


@pytest.mark.parametrize("write", [1, 2, 3])
def test_killed_apply_is_completed_by_the_next_one(server: KfpServer, scoring: str, tmp_path: Path, write: int) -> None:
    apply(schedule_file(tmp_path, DAILY))
    file = schedule_file(tmp_path, LATER)

    killed_after(server, write, ["schedule", "apply", "--file", file])

    # The schedule stayed active.
    assert server.enabled("daily")
    apply(file)
    (created,) = server.recurring_runs.values()
    assert created.status == "ENABLED"
    assert created.trigger.cron_schedule.cron == "0 30 2 * * *"


@pytest.mark.parametrize("write", [1, 2])
def test_killed_upload_is_completed_by_the_next_one(server: KfpServer, write: int) -> None:
    killed_after(server, write, ["upload", "scoring"])

    command("upload", "scoring")

    assert [each.name for each in server.pipelines.values()] == ["image-scoring"]
    assert server.versions_of("image-scoring") == [read_compiled(COMPILED / "scoring.yaml").version]


def test_run_uses_uploaded_version_and_prints_its_page(
    server: KfpServer, scoring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_POLL_SECONDS", 0)
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://ui.example.com")
    server.run_states = ["PENDING", "RUNNING", "RUNNING", "SUCCEEDED"]

    output = command("run", "scoring", "--param", "threshold=0.5", "--wait").output

    (run,) = server.runs.values()
    assert server.versions[run.pipeline_version_reference.pipeline_version_id].name == scoring
    assert run.runtime_config.parameters == {"threshold": 0.5}
    assert f"https://ui.example.com/#/runs/details/{run.run_id}\n" in output
    assert output.splitlines()[-3:] == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_integer_for_a_float_reaches_the_server_as_float(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    command("run", "scoring", "--param", "fraction=1")
    apply(schedule_file(tmp_path, {**DAILY, "parameters": {"threshold": 1, "budget": 20.0}}))

    (run,), (recurring_run,) = server.runs.values(), server.recurring_runs.values()
    assert repr(run.runtime_config.parameters) == "{'export_options': {'fraction': 1.0}}"
    assert repr(sorted(recurring_run.runtime_config.parameters.items())) == "[('budget', 20), ('threshold', 1.0)]"


def test_rescore_on_a_server_runs_the_scoring_pipeline(server: KfpServer, scoring: str) -> None:
    command("rescore")

    (run,) = server.runs.values()
    assert server.versions[run.pipeline_version_reference.pipeline_version_id].name == scoring
    assert run.runtime_config.parameters == {"rescore": True}


def test_run_without_upload_uses_the_compiled_file_with_its_platform_document(server: KfpServer) -> None:
    command("run", "scoring")

    (run,) = server.runs.values()
    assert run.pipeline_version_reference is None
    assert set(run.pipeline_spec) == {"pipeline_spec", "platform_spec"}
    assert server.pipelines == {}


def test_wait_survives_a_server_restart_of_24_polls_and_no_longer(
    server: KfpServer, scoring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_POLL_SECONDS", 0)
    server.unavailable = 24
    command("run", "scoring", "--wait")

    server.unavailable = 25
    with pytest.raises(InputError, match=r"^endpoint: .* \(503: no healthy upstream\)\."):
        command("run", "scoring", "--wait")


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_wait_for_a_failed_run_ends_with_one_sentence(server: KfpServer, scoring: str, state: str) -> None:
    server.run_states = [state]

    with pytest.raises(RunFailed, match=rf"^run: ended {state}\. See http.*/#/runs/details/.*\.$"):
        command("run", "scoring", "--wait")


def node(name: str, phase: str, second: int, kind: str = "Pod", message: str = "") -> dict[str, Any]:
    """Return a node of an Argo workflow. Each task has a DAG, a Retry, and a Pod per attempt."""
    number = sum(name.encode()) * 1009 + second
    return {
        "id": f"image-scoring-2xs2l-{number}",
        "name": f"image-scoring-2xs2l.root.scoring.{name}",
        "displayName": name.split(".")[-1],
        "type": kind,
        "templateName": "retry-system-container-impl",
        "phase": phase,
        "message": message,
        "finishedAt": f"2026-11-29T12:00:{second:02}Z",
    }


def pod(node: dict[str, Any]) -> str:
    """Return the name of a node's pod."""
    return f"image-scoring-2xs2l-retry-system-container-impl-{node['id'].rpartition('-')[2]}"


SENTENCE = "source: folder 's3a://landing/2026' not found. Check the URI."
TRACEBACK = f"""progress: 7 files
Traceback (most recent call last):
  File "ingest.py", line 7, in ingest
components.errors.InputError: {SENTENCE}
F1129 12:00:00.000000 launcher_v2.go:180] failed to execute component: exit status 1
"""
INGEST = node("ingest-images.executor(2)", "Failed", 9, message="main: Error (exit code 1)")
# Failed attempts of a task that succeeded later, later nodes, and the groups that failed with the task.
AROUND = [
    node("", "Failed", 20, "DAG"),
    node("earlier.executor(0)", "Failed", 1, message="main: Error (exit code 1)"),
    node("earlier.executor(1)", "Succeeded", 2),
    node("ingest-images-driver", "Succeeded", 3, "HTTP"),
    node("ingest-images", "Failed", 10, "DAG"),
    node("ingest-images.executor", "Failed", 10, "Retry"),
    node("ingest-images.executor(0)", "Failed", 5, message="pod deleted"),
    node("ingest-images.executor(1)", "Error", 7, message="pod deleted"),
    node("score-images", "Omitted", 11, "Skipped"),
    node("notify.executor(0)", "Failed", 15, message="main: Error (exit code 1)"),
]


@pytest.mark.parametrize(
    ("failed", "log", "sentence"),
    [
        (INGEST, TRACEBACK, SENTENCE),
        # Argo's message holds the task's termination log, also if the pod was deleted.
        ({**INGEST, "message": f"main: Error (exit code 1): {SENTENCE}"}, None, SENTENCE),
        # A killed pod writes no error.
        ({**INGEST, "message": "OOMKilled (exit code 137)"}, "progress: 7 files\n", "OOMKilled (exit code 137)."),
        ({**INGEST, "message": "OOMKilled (exit code 137)"}, None, "OOMKilled (exit code 137)."),
        (INGEST, "", ""),
        (node("ingest-images-driver", "Error", 9, "HTTP", "driver: no such image"), None, "driver: no such image."),
    ],
)
def test_wait_for_a_failed_run_names_the_task_and_its_error(
    server: KfpServer, scoring: str, failed: dict[str, Any], log: str | None, sentence: str
) -> None:
    server.run_states = ["FAILED"]
    server.nodes = [*(each for each in AROUND if each["name"] != failed["name"]), failed]
    if failed["type"] == "HTTP":
        server.nodes = [each for each in server.nodes if "ingest-images.executor" not in each["name"]]
    server.logs = {} if log is None else {pod(failed): log}

    with pytest.raises(RunFailed) as caught:
        command("run", "scoring", "--wait")

    (run_id,) = server.runs
    cause = f"{sentence} " if sentence else ""
    page = f"{server.url}/#/runs/details/{run_id}"
    assert str(caught.value) == f"run: ended FAILED. task 'ingest-images' failed. {cause}See {page}."


def test_wait_for_a_failed_run_works_without_argo_workflow(server: KfpServer, scoring: str) -> None:
    server.run_states = ["FAILED"]
    server.nodes = None

    with pytest.raises(RunFailed, match=r"^run: ended FAILED\. See http"):
        command("run", "scoring", "--wait")


def test_error_is_one_line_in_a_narrow_terminal(server: KfpServer, scoring: str) -> None:
    server.run_states = ["FAILED"]
    server.nodes, server.logs = [*AROUND, INGEST], {pod(INGEST): TRACEBACK}
    command_line = [sys.executable, "-m", "pipelines", "run", "scoring", "--wait"]

    ended = subprocess.run(command_line, capture_output=True, text=True, env={**os.environ, "COLUMNS": "40"})

    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"run: ended FAILED. task 'ingest-images' failed. {SENTENCE} See {server.url}/#/runs/")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"cron": "30 2 * * *"}, r"daily\.cron: '30 2 \* \* \*' has 5 fields; .*'0 30 2 \* \* \*'\."),
        ({"cron": "0 0 24 * * *"}, r"daily\.cron: hour '24' .* Give \*, or numbers 0-23, .*\."),
        ({**DAILY, "max_concurrency": 11}, r"daily\.max_concurrency: .*less than or equal to 10\."),
        ({**DAILY, "catchup": True}, r"daily\.catchup: Extra inputs are not permitted\."),
        ({**DAILY, "parameters": {"tresh": 1}}, r"daily\.tresh: unknown parameter\. Did you mean threshold\?"),
        ({**DAILY, "parameters": {"budget": "x"}}, r"daily\.budget: 'x' is not a whole number\. Give .*\."),
        ({**DAILY, "name": "Daily"}, r"Daily\.name: String should match pattern .*\."),
        ({}, r"daily\.cron: Field required\."),
    ],
)
def test_invalid_schedule_is_refused_in_one_sentence_before_any_request(
    server: KfpServer, tmp_path: Path, entry: dict[str, Any], sentence: str
) -> None:
    file = schedule_file(tmp_path, entry)

    with pytest.raises(InputError, match=rf"^{file}: {sentence}$"):
        apply(file)

    assert server.requests == []


def test_duplicate_schedule_name_is_refused(server: KfpServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"duplicate name daily\. Rename one\.$"):
        apply(schedule_file(tmp_path, DAILY, LATER))


def test_unreachable_server_is_reported_in_one_sentence(server: KfpServer) -> None:
    with pytest.raises(
        InputError, match=r"^endpoint: http://127\.0\.0\.1:1 can't be reached\. Set KF_PIPELINES_ENDPOINT"
    ):
        command("upload", "scoring", "--endpoint", "http://127.0.0.1:1")


def test_missing_login_is_reported_in_one_sentence(server: KfpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.token = "secret"
    with pytest.raises(InputError, match=r"^endpoint: .* requires a login \(401: .*\)\. Set KF_PIPELINES_TOKEN"):
        command("upload", "scoring")
    # One request, not five.
    assert len(server.requests) == 1

    monkeypatch.setenv("KF_PIPELINES_TOKEN", "secret")
    command("upload", "scoring")
    assert len(server.versions) == 1


def test_token_can_be_in_a_file(server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.token = "secret"
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))

    command("upload", "scoring")

    assert len(server.versions) == 1


def test_server_with_several_users_requires_a_namespace(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.namespaces = ("mine",)
    with pytest.raises(InputError, match=r"^namespace: not set, but .* has several users\. Set KF_PIPELINES_NAMESPACE"):
        command("upload", "scoring")
    with pytest.raises(InputError, match=r"^endpoint: .* denied access \(403: .*namespace theirs\)\."):
        command("upload", "scoring", "--namespace", "theirs")
    monkeypatch.setenv("KF_PIPELINES_NAMESPACE", "mine")

    command("upload", "scoring")
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    server.requests.clear()
    apply(file)
    command("upload", "scoring")

    assert server.writes == []
    for entity in (*server.pipelines.values(), *server.experiments.values(), *server.recurring_runs.values()):
        assert entity.namespace == "mine"


def test_server_without_api_v2beta1_is_reported_in_one_sentence(server: KfpServer) -> None:
    server.version = "v1beta1"

    with pytest.raises(
        InputError, match=r"^endpoint: .* does not serve API v2beta1 \(404\)\. Use a .* server of version 2\.17"
    ):
        command("upload", "scoring")


def test_login_page_is_reported_in_one_sentence(server: KfpServer) -> None:
    server.login = True

    with pytest.raises(InputError, match=r"^endpoint: .* responds with a web page, e.g. a login"):
        command("upload", "scoring")


def test_refused_request_is_reported_with_the_server_s_message(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, DAILY))
    next(iter(server.experiments.values())).storage_state = "ARCHIVED"
    with pytest.raises(InputError, match=r"^experiment: 'image-pipelines' is archived\. Restore it"):
        apply(schedule_file(tmp_path, LATER))
    server.recurring_runs.clear()
    server.experiments.clear()
    server.pipelines.clear()

    with pytest.raises(InputError, match=r"^endpoint: .* refused a request \(400: .*\)\. Fix the cause"):
        command("run", "scoring", "--param", "cpu_tolerations=[]", "--experiment", "")


def test_concurrent_applies_leave_one_recurring_run(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    (first,) = server.recurring_runs.values()
    # The second of two concurrent applies created this one.
    recurring_run_by_hand(server, "daily", first.description)

    assert "leftovers of an interrupted apply, deleted: 1" in apply(file).output

    assert len(server.recurring_runs) == 1
