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
from pipelines.cli import app
from pipelines.deployment import compiled as compiled_module
from pipelines.deployment import runs
from pipelines.deployment.compiled import read_compiled
from pipelines.generated import COMPILED
from tests.services.kfp_server import KfpServer, running_kfp_server

NAMES = ("image-training", "image-scoring", "image-labeling")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[KfpServer]:
    """An empty server, that the environment names."""
    for name in [name for name in os.environ if name.startswith("KF_PIPELINES_")]:
        monkeypatch.delenv(name)
    # Where KFP's client keeps what it was last told.
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with running_kfp_server() as running:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", running.url)
        yield running


def command(*arguments: str) -> Result:
    """Run a command in this process, and let its errors through."""
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def schedule_file(folder: Path, *entries: dict[str, Any]) -> str:
    """Write a file of recurring runs, by default one that scores each day."""
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
    """The scoring pipeline is there; the name of its version."""
    command("upload", "scoring")
    server.requests.clear()
    return server.versions_of("image-scoring")[0]


def test_an_upload_makes_each_pipeline_with_a_version_named_by_its_content(server: KfpServer) -> None:
    command("upload")

    assert sorted(each.name for each in server.pipelines.values()) == sorted(NAMES)
    for name in ("training", "scoring", "labeling"):
        assert server.versions_of(f"image-{name}") == [read_compiled(COMPILED / f"{name}.yaml").version]
    assert all(each.pipeline_spec["platform_spec"] for each in server.versions.values())


def test_a_second_upload_changes_nothing(server: KfpServer, scoring: str) -> None:
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


def test_an_upload_for_a_registry_names_its_images(server: KfpServer, scoring: str) -> None:
    command("upload", "scoring", "--registry", "registry.example.com/team", "--tag", "7")

    newest = list(server.versions.values())[-1]
    executors = newest.pipeline_spec["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {each["container"]["image"] for each in executors} == {
        "registry.example.com/team/image-pipelines/spark-python:7"
    }
    assert newest.name != scoring


def test_a_dry_run_writes_nothing(server: KfpServer, tmp_path: Path) -> None:
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


def test_apply_makes_the_recurring_run_that_the_file_says(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, {**LATER, "experiment": "nightly", "service_account": "worker"}))

    (made,) = server.recurring_runs.values()
    assert (made.display_name, made.status, made.max_concurrency, made.no_catchup) == ("daily", "ENABLED", "1", True)
    assert made.trigger.cron_schedule.cron == "0 30 2 * * *"
    assert made.runtime_config.parameters == {"threshold": 0.9}
    assert server.versions[made.pipeline_version_reference.pipeline_version_id].name == scoring
    assert server.experiments[made.experiment_id].display_name == "nightly"
    assert made.service_account == "worker"


def test_a_second_apply_changes_nothing(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, DAILY, {**LATER, "name": "off", "enabled": False})
    apply(file)
    server.requests.clear()

    output = apply(file).output

    assert server.writes == []
    assert "daily: unchanged" in output
    assert "off: unchanged" in output


def test_the_committed_file_can_be_applied(server: KfpServer) -> None:
    command("upload")
    command("schedule", "apply")

    assert sorted(each.display_name for each in server.recurring_runs.values()) == [
        "image-labeling-daily",
        "image-scoring-daily",
        "image-training-weekly",
    ]


def test_a_changed_schedule_replaces_the_recurring_run_once_and_leaves_its_runs_alone(
    server: KfpServer, scoring: str, tmp_path: Path
) -> None:
    apply(schedule_file(tmp_path, DAILY))
    (old,) = server.recurring_runs
    on: list[int] = []
    server.after_write = lambda count: on.append(len(server.enabled("daily")))
    server.requests.clear()

    apply(schedule_file(tmp_path, LATER))

    (new,) = server.enabled("daily")
    assert list(server.recurring_runs) == [new.recurring_run_id]
    assert new.trigger.cron_schedule.cron == "0 30 2 * * *"
    assert server.deleted == {old: "ORPHAN"}
    # Made while it is off, turned on, and then the old one goes: there is one at any time.
    assert on == [1, 2, 1]
    assert len(server.writes) == 3


def test_a_new_version_replaces_the_recurring_run(
    server: KfpServer, scoring: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    shutil.copytree(COMPILED, tmp_path / "compiled")
    changed = tmp_path / "compiled" / "scoring.yaml"
    changed.write_text(changed.read_text().replace("defaultValue: 0.95", "defaultValue: 0.9"))
    monkeypatch.setattr(compiled_module, "COMPILED", tmp_path / "compiled")
    with pytest.raises(InputError, match=r"^version: .* has no version 'image-scoring-\w+' of .* Upload it first"):
        apply(file)
    command("upload", "scoring")

    output = apply(file).output

    (new,) = server.enabled("daily")
    version = server.versions[new.pipeline_version_reference.pipeline_version_id].name
    assert version == read_compiled(changed).version
    assert f"version: {scoring} -> {version}" in output
    # The file may hold on to the older one.
    apply(schedule_file(tmp_path, {**DAILY, "version": scoring}))
    (held,) = server.enabled("daily")
    assert server.versions[held.pipeline_version_reference.pipeline_version_id].name == scoring


def test_more_recurring_runs_than_a_page_has_are_all_seen(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, *({**DAILY, "name": f"daily-{number}"} for number in range(5)))
    apply(file)
    server.largest_page = 2
    server.requests.clear()

    apply(file)

    assert server.writes == []
    assert len(server.recurring_runs) == 5


def test_what_others_made_is_left_alone_and_what_left_the_file_goes_when_asked(
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

    assert "gone: not in the file, left alone" in apply(file).output
    assert server.writes == []
    assert "gone: deleted" in apply(file, "--prune").output
    assert list(server.deleted) == [ours]
    assert copy in server.recurring_runs


def recurring_run_by_hand(server: KfpServer, name: str, description: str = "Somebody's.") -> str:
    """Make a recurring run as the form of the UI does; return its id."""
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


def test_pause_turns_off_and_apply_turns_on(server: KfpServer, scoring: str, tmp_path: Path) -> None:
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
    with pytest.raises(InputError, match=r"^name: .* no recurring run 'others' .* Name one of: daily\.$"):
        command("schedule", "pause", "others")


def test_the_list_tells_state_version_and_whose_it_is(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, {**DAILY, "enabled": False}))
    recurring_run_by_hand(server, "by-hand")

    ours, others = CliRunner().invoke(app, ["schedule", "list"], env={"COLUMNS": "200"}).output.splitlines()[1:]

    assert ours.split() == ["daily", "off", *DAILY["cron"].split(), scoring, "schedules.yaml"]
    assert others.split() == ["by-hand", "on", *BY_HAND["cron"].split(), scoring, "others"]


def killed_after(server: KfpServer, write: int, arguments: Sequence[str]) -> None:
    """Run a command in a process of its own, and kill it when the server has done a write and not yet answered."""
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
def test_an_apply_that_was_killed_is_completed_by_the_next_one(
    server: KfpServer, scoring: str, tmp_path: Path, write: int
) -> None:
    apply(schedule_file(tmp_path, DAILY))
    file = schedule_file(tmp_path, LATER)

    killed_after(server, write, ["schedule", "apply", "--file", file])

    # The schedule went on meanwhile.
    assert server.enabled("daily")
    apply(file)
    (made,) = server.recurring_runs.values()
    assert made.status == "ENABLED"
    assert made.trigger.cron_schedule.cron == "0 30 2 * * *"


@pytest.mark.parametrize("write", [1, 2])
def test_an_upload_that_was_killed_is_completed_by_the_next_one(server: KfpServer, write: int) -> None:
    killed_after(server, write, ["upload", "scoring"])

    command("upload", "scoring")

    assert [each.name for each in server.pipelines.values()] == ["image-scoring"]
    assert server.versions_of("image-scoring") == [read_compiled(COMPILED / "scoring.yaml").version]


def test_a_run_is_of_the_uploaded_version_and_prints_where_to_see_it(
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


def test_rescoring_on_a_server_is_a_run_of_the_scoring_pipeline(server: KfpServer, scoring: str) -> None:
    command("rescore")

    (run,) = server.runs.values()
    assert server.versions[run.pipeline_version_reference.pipeline_version_id].name == scoring
    assert run.runtime_config.parameters == {"rescore": True}


def test_a_run_of_what_was_not_uploaded_is_of_the_file_with_its_platform_document(server: KfpServer) -> None:
    command("run", "scoring")

    (run,) = server.runs.values()
    assert run.pipeline_version_reference is None
    assert set(run.pipeline_spec) == {"pipeline_spec", "platform_spec"}
    assert server.pipelines == {}


def test_waiting_outlasts_a_server_that_starts_anew_and_no_more(
    server: KfpServer, scoring: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_POLL_SECONDS", 0)
    server.unavailable = 24
    command("run", "scoring", "--wait")

    server.unavailable = 25
    with pytest.raises(InputError, match=r"^endpoint: .* \(503: no healthy upstream\)\."):
        command("run", "scoring", "--wait")


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_waiting_for_a_run_that_does_not_succeed_ends_with_one_sentence(
    server: KfpServer, scoring: str, state: str
) -> None:
    server.run_states = [state]

    with pytest.raises(runs.RunFailed, match=rf"^run: ended {state}\. See http.*/#/runs/details/.*\.$"):
        command("run", "scoring", "--wait")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"cron": "30 2 * * *"}, r"daily\.cron: '30 2 \* \* \*' has 5 fields, .*'0 30 2 \* \* \*'\."),
        ({"cron": "0 0 24 * * *"}, r"daily\.cron: hour '24' .* Write \*, or numbers 0-23, .*\."),
        ({**DAILY, "max_concurrency": 11}, r"daily\.max_concurrency: .*less than or equal to 10\."),
        ({**DAILY, "catchup": True}, r"daily\.catchup: Extra inputs are not permitted\."),
        ({**DAILY, "parameters": {"tresh": 1}}, r"daily\.parameters: there is no 'tresh'\. Use a name out of .*\."),
        ({**DAILY, "parameters": {"budget": "1"}}, r"daily\.parameters: '1' of budget is not of type NUMBER_INTEGER.*"),
        ({**DAILY, "name": "Daily"}, r"Daily\.name: String should match pattern .*\."),
        ({}, r"daily\.cron: Field required\."),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence_before_any_request(
    server: KfpServer, tmp_path: Path, entry: dict[str, Any], sentence: str
) -> None:
    file = schedule_file(tmp_path, entry)

    with pytest.raises(InputError, match=rf"^{file}: {sentence}$"):
        apply(file)

    assert server.requests == []


def test_two_of_a_name_are_refused(server: KfpServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"two are named daily\. Rename one\.$"):
        apply(schedule_file(tmp_path, DAILY, LATER))


def test_a_server_that_is_not_there_is_one_sentence(server: KfpServer) -> None:
    with pytest.raises(
        InputError, match=r"^endpoint: http://127\.0\.0\.1:1 can't be reached\. Set KF_PIPELINES_ENDPOINT"
    ):
        command("upload", "scoring", "--endpoint", "http://127.0.0.1:1")


def test_a_server_that_does_not_know_the_user_is_one_sentence(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.token = "secret"
    with pytest.raises(InputError, match=r"^endpoint: .* does not know you \(401: .*\)\. Set KF_PIPELINES_TOKEN"):
        command("upload", "scoring")
    # It is asked once, not five times.
    assert len(server.requests) == 1

    monkeypatch.setenv("KF_PIPELINES_TOKEN", "secret")
    command("upload", "scoring")
    assert len(server.versions) == 1


def test_the_token_may_be_in_a_file(server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.token = "secret"
    (tmp_path / "token").write_text("secret")
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))

    command("upload", "scoring")

    assert len(server.versions) == 1


def test_a_server_with_several_users_has_to_know_whose_it_is(
    server: KfpServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.namespaces = ("mine",)
    with pytest.raises(InputError, match=r"^namespace: .* has several users, .* Set KF_PIPELINES_NAMESPACE"):
        command("upload", "scoring")
    with pytest.raises(InputError, match=r"^endpoint: .* does not let you do this \(403: .*namespace theirs\)\."):
        command("upload", "scoring", "--namespace", "theirs")
    monkeypatch.setenv("KF_PIPELINES_NAMESPACE", "mine")

    command("upload", "scoring")
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    server.requests.clear()
    apply(file)
    command("upload", "scoring")

    assert server.writes == []
    for made in (*server.pipelines.values(), *server.experiments.values(), *server.recurring_runs.values()):
        assert made.namespace == "mine"


def test_a_server_of_another_version_is_one_sentence(server: KfpServer) -> None:
    server.version = "v1beta1"

    with pytest.raises(
        InputError, match=r"^endpoint: .* has no API v2beta1 \(404\), .* Name a server of version 2\.17"
    ):
        command("upload", "scoring")


def test_a_page_to_log_in_is_no_server(server: KfpServer) -> None:
    server.login = True

    with pytest.raises(InputError, match=r"^endpoint: .* answers with a page for people, such as a login"):
        command("upload", "scoring")


def test_what_the_server_refuses_is_told_in_its_words(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    apply(schedule_file(tmp_path, DAILY))
    next(iter(server.experiments.values())).storage_state = "ARCHIVED"
    with pytest.raises(InputError, match=r"^experiment: 'image-pipelines' is archived\. Restore it"):
        apply(schedule_file(tmp_path, LATER))
    server.recurring_runs.clear()
    server.experiments.clear()
    server.pipelines.clear()

    with pytest.raises(InputError, match=r"^endpoint: .* refused a request \(400: .*\)\. Mend what it names"):
        command("run", "scoring", "--param", "cpu_tolerations=[]", "--experiment", "")


def test_two_applies_at_once_leave_one(server: KfpServer, scoring: str, tmp_path: Path) -> None:
    file = schedule_file(tmp_path, DAILY)
    apply(file)
    (first,) = server.recurring_runs.values()
    # What the second of two that started together has made.
    recurring_run_by_hand(server, "daily", first.description)

    assert "left over and deleted: 1" in apply(file).output

    assert len(server.recurring_runs) == 1
