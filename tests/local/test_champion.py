"""The champion's place in people's hands: promotion and rollback, on the command line and underneath."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from typer.testing import CliRunner

from components.errors import InputError
from components.lake.lock import LockLost
from components.register_model.champion import champion_lock, crown, previous_champion, promote, roll_back
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.settings import Settings
from pipelines.cli import app
from tests.local.saved_model_factory import LoggedModel, constant_classifier, log_classifier

VERSIONS = 4


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def model(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    return log_classifier(tracking, tmp_path_factory.mktemp("artifacts"), constant_classifier((3, 5), 3))


@pytest.fixture
def registry(tracking: str, model: LoggedModel, request: pytest.FixtureRequest) -> ModelRegistry:
    """A registered model of some versions, none of which is the champion."""
    made = ModelRegistry(tracking, request.node.name)
    for _ in range(VERSIONS):
        made.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest, "reason": "it is [better]"})
    return made


def champion(registry: ModelRegistry) -> str:
    found = registry.champion()
    return found.version if found else ""


def test_a_person_promotes_the_version_and_the_tags_say_who_and_why(registry: ModelRegistry) -> None:
    promoted = promote(registry, "2", "", "it knows the new camera", "ann")

    assert champion(registry) == promoted.version == "2"
    assert promoted.tags["decision"] == "promoted"
    assert promoted.tags["reason"] == "it knows the new camera"
    assert promoted.tags["decided_by"] == "ann"


def test_who_has_lost_the_lock_moves_no_champion(registry: ModelRegistry) -> None:
    def check() -> None:
        raise LockLost("somebody else has it")

    crown(registry, "1")
    crown(registry, "2")

    with pytest.raises(LockLost):
        promote(registry, "3", "2", "", "ann", check)
    with pytest.raises(LockLost):
        roll_back(registry, "2", "", "ann", check)
    assert champion(registry) == "2"


@pytest.mark.parametrize("expected", ["", "3"])
def test_a_person_moves_only_the_champion_that_was_shown(registry: ModelRegistry, expected: str) -> None:
    crown(registry, "1")
    crown(registry, "2")

    with pytest.raises(InputError, match=r"^champion: version 2 is the champion by now, not as expected"):
        promote(registry, "4", expected, "", "ann")
    with pytest.raises(InputError, match=r"^champion: version 2 is the champion by now, not as expected"):
        roll_back(registry, expected, "", "ann")

    assert champion(registry) == "2"
    assert "decided_by" not in registry.version("4").tags


def test_what_can_not_be_promoted_is_named(registry: ModelRegistry, model: LoggedModel) -> None:
    crown(registry, "1")
    registry.create_version(model.run_id, model.model_uri, {})

    with pytest.raises(InputError, match=r"^version: 1 is the champion already"):
        promote(registry, "1", "1", "", "ann")
    with pytest.raises(InputError, match=r"^version: .* has no version '9'"):
        promote(registry, "9", "1", "", "ann")
    with pytest.raises(InputError, match=r"^version: no digest is known of version 5"):
        promote(registry, "5", "1", "", "ann")

    assert champion(registry) == "1"


def test_a_rollback_tells_who_and_why_on_the_version_that_failed(registry: ModelRegistry) -> None:
    crown(registry, "1")
    promote(registry, "3", "1", "it is better", "ann")

    restored = roll_back(registry, "3", "it misses flags", "bob")

    assert champion(registry) == restored.version == "1"
    tags = registry.version("3").tags
    assert (tags["decision"], tags["reason"], tags["decided_by"]) == ("rolled back", "it misses flags", "bob")
    assert registry.version("1").tags["reason"] == "it is [better]"


def test_there_is_no_way_back_from_the_first_champion(registry: ModelRegistry) -> None:
    with pytest.raises(InputError, match=r"^champion: there is none to roll back from"):
        roll_back(registry, "", "", "ann")
    crown(registry, "2")

    with pytest.raises(InputError, match=r"^champion: no champion is known before version 2"):
        roll_back(registry, "2", "", "ann")


@given(steps=st.lists(st.sampled_from(["1", "2", "3", "4", "back"]), max_size=9))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_rollback_takes_back_one_promotion(registry: ModelRegistry, steps: list[str]) -> None:
    registry.set_champions([])
    registry.set_alias(CHAMPION, "1")
    succession = ["1"]
    for step in steps:
        if step != "back" and step != succession[-1]:
            crown(registry, step)
            succession.append(step)
        elif step == "back" and len(succession) > 1:
            roll_back(registry, succession.pop(), "", "ann")
        assert champion(registry) == succession[-1]


def test_a_promotion_or_rollback_that_was_cut_off_leaves_the_way_back(registry: ModelRegistry, tracking: str) -> None:
    for version in ("1", "2", "3"):
        crown(registry, version)
    # Cut off before the alias was moved: from 3 to 2, which was the champion before.
    registry.set_champions(["1", "2", "3", "2"])
    assert previous_champion(registry).version == "2"

    # Cut off after the alias was moved back from 3 to 2.
    registry.set_champions(["1", "2", "3"])
    registry.set_alias(CHAMPION, "2")
    assert previous_champion(registry).version == "1"

    # Moved by hand, to a version that never was the champion.
    MlflowClient(tracking, tracking).set_registered_model_alias(registry.model_name, CHAMPION, "4")
    assert previous_champion(registry).version == "3"


@pytest.fixture
def shell(registry: ModelRegistry, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("IMAGE_PIPELINES_MODEL_NAME", registry.model_name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_the_command_line_shows_who_is_and_who_comes_and_asks(registry: ModelRegistry, shell: CliRunner) -> None:
    crown(registry, "1")

    declined = shell.invoke(app, ["promote", "2", "--reason", "why not"], input="n\n")
    assert (declined.exit_code, champion(registry)) == (1, "1")
    accepted = shell.invoke(app, ["promote", "2"], input="the new camera\ny\n")
    assert (accepted.exit_code, champion(registry)) == (0, "2")
    back = shell.invoke(app, ["rollback"], input="it misses flags\ny\n")
    assert (back.exit_code, champion(registry)) == (0, "1")

    assert "it is [better]" in declined.stdout
    assert registry.version("2").tags["reason"] == "it misses flags"


def test_the_command_line_waits_for_who_else_moves_the_champion(
    registry: ModelRegistry, shell: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    crown(registry, "1")
    crown(registry, "2")
    monkeypatch.setenv("IMAGE_PIPELINES_LOCK_TIMEOUT_SECONDS", "0.5")
    commands = ["promote", "3", "--reason", "", "--champion", "2"], ["rollback", "--reason", "", "--champion", "2"]

    with champion_lock(Settings.load()):
        results = [shell.invoke(app, command) for command in commands]

    assert [type(result.exception) for result in results] == [TimeoutError, TimeoutError]
    assert champion(registry) == "2"
    assert shell.invoke(app, commands[0]).exit_code == 0


def test_a_script_names_the_champion_it_knows(registry: ModelRegistry, shell: CliRunner) -> None:
    first = shell.invoke(app, ["promote", "1", "--reason", "the first", "--champion", "none"])
    wrong = shell.invoke(app, ["promote", "3", "--reason", "", "--champion", "2"])
    unasked = shell.invoke(app, ["promote", "3", "--reason", ""])
    second = shell.invoke(app, ["promote", "3", "--reason", "the second", "--champion", "1"])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert isinstance(wrong.exception, InputError)
    assert unasked.exit_code == 1
    assert champion(registry) == "3"
    assert shell.invoke(app, ["rollback", "--reason", "", "--champion", "3"]).exit_code == 0
    assert champion(registry) == "1"
