"""Promotion and rollback of the champion, by function and by command."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from typer.testing import CliRunner

from components.errors import InputError
from components.lock import LockLost
from components.registry.champion import (
    champion_lock,
    previous_champion,
    promote,
    read_succession,
    record_champion,
    replace_champion,
    roll_back,
)
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.settings import Settings
from components.succession import ModelVersion
from pipelines.cli import app
from tests.support.saved_model_factory import LoggedModel, constant_classifier, log_classifier
from tests.support.tracking import make_tracking

VERSIONS = 4


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def model(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> LoggedModel:
    return log_classifier(tracking, tmp_path_factory.mktemp("artifacts"), constant_classifier((3, 5), 3))


@pytest.fixture
def registry(tracking: str, model: LoggedModel, request: pytest.FixtureRequest) -> ModelRegistry:
    """A registered model with four versions and no champion."""
    made = ModelRegistry(tracking, request.node.name)
    for _ in range(VERSIONS):
        made.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest, "reason": "it is [better]"})
    return made


def champion(registry: ModelRegistry) -> str:
    found = registry.champion()
    return found.version if found else ""


def succession(registry: ModelRegistry) -> tuple[str, ...]:
    found = read_succession(registry, registry.champion())
    assert found.model_name == registry.model_name
    return tuple(version.version for version in found.versions)


def test_promotion_by_a_person_tags_the_version_with_person_and_reason(registry: ModelRegistry) -> None:
    promoted = promote(registry, "2", "", "it knows the new camera", "ann")

    assert champion(registry) == promoted.version == "2"
    assert promoted.tags["decision"] == "promoted"
    assert promoted.tags["reason"] == "it knows the new camera"
    assert promoted.tags["decided_by"] == "ann"


def test_promotion_and_rollback_without_the_lock_keep_the_champion(registry: ModelRegistry) -> None:
    def check() -> None:
        raise LockLost("another process holds the lock")

    replace_champion(registry, "1")
    replace_champion(registry, "2")

    with pytest.raises(LockLost):
        promote(registry, "3", "2", "", "ann", check)
    with pytest.raises(LockLost):
        roll_back(registry, "2", "", "ann", check)
    assert champion(registry) == "2"


@pytest.mark.parametrize("expected", ["", "3"])
def test_promotion_and_rollback_after_a_change_of_champion_raise_error(registry: ModelRegistry, expected: str) -> None:
    replace_champion(registry, "1")
    replace_champion(registry, "2")

    with pytest.raises(
        InputError, match=r"^champion: version 2 is the champion, but (no champion|version 3) was expected\."
    ):
        promote(registry, "4", expected, "", "ann")
    with pytest.raises(
        InputError, match=r"^champion: version 2 is the champion, but (no champion|version 3) was expected\."
    ):
        roll_back(registry, expected, "", "ann")

    assert champion(registry) == "2"
    assert "decided_by" not in registry.version("4").tags


def test_error_names_the_version_that_cannot_be_promoted(registry: ModelRegistry, model: LoggedModel) -> None:
    replace_champion(registry, "1")
    registry.create_version(model.run_id, model.model_uri, {})

    with pytest.raises(InputError, match=r"^version: version 1 is already the champion"):
        promote(registry, "1", "1", "", "ann")
    with pytest.raises(InputError, match=r"^version: .* has no version '9'"):
        promote(registry, "9", "1", "", "ann")
    with pytest.raises(InputError, match=r"^version: version 5 has no digest"):
        promote(registry, "5", "1", "", "ann")

    assert champion(registry) == "1"


def test_rollback_tags_the_withdrawn_version_with_person_and_reason(registry: ModelRegistry) -> None:
    replace_champion(registry, "1")
    promote(registry, "3", "1", "it is better", "ann")

    restored = roll_back(registry, "3", "it misses flags", "bob")

    assert champion(registry) == restored.version == "1"
    tags = registry.version("3").tags
    assert (tags["decision"], tags["reason"], tags["decided_by"]) == ("rolled back", "it misses flags", "bob")
    assert registry.version("1").tags["reason"] == "it is [better]"


def test_rollback_of_the_first_champion_raises_error(registry: ModelRegistry) -> None:
    with pytest.raises(InputError, match=r"^champion: the model has no champion to roll back"):
        roll_back(registry, "", "", "ann")
    replace_champion(registry, "2")

    with pytest.raises(InputError, match=r"^champion: version 2 is the first champion on record"):
        roll_back(registry, "2", "", "ann")


@given(steps=st.lists(st.sampled_from(["1", "2", "3", "4", "back"]), max_size=9))
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rollback_restores_the_newest_champion_that_was_not_withdrawn(
    registry: ModelRegistry, steps: list[str]
) -> None:
    registry.set_champions([])
    registry.set_withdrawn([])
    registry.set_alias(CHAMPION, "1")
    champions, withdrawn = ["1"], set[str]()
    for step in steps:
        if step != "back" and step != champions[-1]:
            replace_champion(registry, step)
            champions.append(step)
            withdrawn.discard(step)
        elif step == "back" and set(champions) - withdrawn - {champions[-1]}:
            withdrawn.add(champions[-1])
            roll_back(registry, champions[-1], "", "ann")
            while champions[-1] in withdrawn:
                champions.pop()
        assert champion(registry) == champions[-1]
        valid = [version for version in dict.fromkeys(reversed(champions)) if version not in withdrawn]
        assert list(succession(registry)) == valid[:3]


def test_succession_is_the_champion_and_at_most_two_predecessors(registry: ModelRegistry) -> None:
    assert succession(registry) == ()
    expected = [("1",), ("2", "1"), ("3", "2", "1"), ("4", "3", "2")]
    for versions in expected:
        replace_champion(registry, versions[0])
        assert succession(registry) == versions


def test_succession_names_the_digest_of_each_version_and_skips_a_deleted_one(
    registry: ModelRegistry, model: LoggedModel, tracking: str
) -> None:
    for version in ("1", "2", "3"):
        replace_champion(registry, version)
    MlflowClient(tracking, tracking).delete_model_version(registry.model_name, "2")

    versions = read_succession(registry, registry.champion()).versions

    assert versions == (ModelVersion("3", model.digest), ModelVersion("1", model.digest))


def test_promoting_a_withdrawn_version_restores_it(registry: ModelRegistry) -> None:
    for version in ("1", "2", "3"):
        replace_champion(registry, version)
    roll_back(registry, "3", "", "ann")
    assert succession(registry) == ("2", "1")
    roll_back(registry, "2", "", "ann")
    assert succession(registry) == ("1",)

    promote(registry, "4", "1", "", "ann")
    assert succession(registry) == ("4", "1")
    promote(registry, "2", "4", "", "ann")
    assert succession(registry) == ("2", "4", "1")


def test_version_that_was_champion_twice_is_withdrawn_by_one_rollback(registry: ModelRegistry) -> None:
    for version in ("4", "1", "2", "1"):
        replace_champion(registry, version)

    roll_back(registry, "1", "", "ann")
    assert succession(registry) == ("2", "4")
    # The next rollback skips version 1, although it was the champion before version 2.
    assert roll_back(registry, "2", "", "ann").version == "4"
    replace_champion(registry, "3")
    assert succession(registry) == ("3", "4")
    replace_champion(registry, "1")
    assert succession(registry) == ("1", "3", "4")


def test_rollback_never_restores_a_withdrawn_version(registry: ModelRegistry) -> None:
    for version in ("1", "2", "1"):
        replace_champion(registry, version)
    roll_back(registry, "1", "", "ann")

    with pytest.raises(InputError, match=r"^champion: all champions before version 2 were rolled back\. Promote"):
        roll_back(registry, "2", "", "ann")

    assert champion(registry) == "2"
    assert succession(registry) == ("2",)


@pytest.mark.parametrize("is_recorded", [False, True], ids=["not recorded", "recorded by a scoring run"])
def test_promoting_a_withdrawn_version_in_mlflow_restores_it(
    registry: ModelRegistry, tracking: str, is_recorded: bool
) -> None:
    for version in ("1", "2", "1"):
        replace_champion(registry, version)
    roll_back(registry, "1", "", "ann")
    MlflowClient(tracking, tracking).set_registered_model_alias(registry.model_name, CHAMPION, "1")
    if is_recorded:
        record_champion(registry)

    replace_champion(registry, "3")

    assert succession(registry) == ("3", "1")


def test_alias_moved_in_mlflow_counts_as_promotion_or_rollback(registry: ModelRegistry, tracking: str) -> None:
    client = MlflowClient(tracking, tracking)
    for version, versions in (("1", ("1",)), ("2", ("2", "1")), ("1", ("1",)), ("3", ("3", "1"))):
        client.set_registered_model_alias(registry.model_name, CHAMPION, version)
        assert succession(registry) == versions
        record_champion(registry)
        assert succession(registry) == versions

    client.delete_registered_model_alias(registry.model_name, CHAMPION)
    record_champion(registry)
    assert succession(registry) == ()
    assert registry.champions() == ["1", "3"]


def test_interrupted_promotion_or_rollback_can_be_rolled_back(registry: ModelRegistry, tracking: str) -> None:
    for version in ("1", "2", "3"):
        replace_champion(registry, version)
    # Interrupted before the alias moves from 3 to the former champion 2.
    registry.set_champions(["1", "2", "3", "2"])
    assert previous_champion(registry).version == "2"
    assert succession(registry) == ("3", "2", "1")

    # Interrupted after the alias moved back from 3 to 2.
    registry.set_champions(["1", "2", "3"])
    registry.set_alias(CHAMPION, "2")
    assert previous_champion(registry).version == "1"
    assert succession(registry) == ("2", "1")

    # Moved in MLflow itself, to a version that was never the champion.
    MlflowClient(tracking, tracking).set_registered_model_alias(registry.model_name, CHAMPION, "4")
    assert previous_champion(registry).version == "3"


@pytest.fixture
def shell(registry: ModelRegistry, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("IMAGE_PIPELINES_MODEL_NAME", registry.model_name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    monkeypatch.setenv("COLUMNS", "200")
    return CliRunner()


def test_command_shows_current_and_new_champion_and_asks_for_confirmation(
    registry: ModelRegistry, shell: CliRunner
) -> None:
    replace_champion(registry, "1")

    declined = shell.invoke(app, ["promote", "2", "--reason", "why not"], input="n\n")
    assert (declined.exit_code, champion(registry)) == (1, "1")
    accepted = shell.invoke(app, ["promote", "2"], input="the new camera\ny\n")
    assert (accepted.exit_code, champion(registry)) == (0, "2")
    back = shell.invoke(app, ["rollback"], input="it misses flags\ny\n")
    assert (back.exit_code, champion(registry)) == (0, "1")

    assert "it is [better]" in declined.stdout
    assert registry.version("2").tags["reason"] == "it misses flags"


def test_command_waits_for_the_lock_of_the_champion(
    registry: ModelRegistry, shell: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_champion(registry, "1")
    replace_champion(registry, "2")
    monkeypatch.setenv("IMAGE_PIPELINES_LOCK_TIMEOUT_SECONDS", "0.5")
    commands = ["promote", "3", "--reason", "", "--champion", "2"], ["rollback", "--reason", "", "--champion", "2"]

    with champion_lock(Settings.load()):
        results = [shell.invoke(app, command) for command in commands]

    assert [type(result.exception) for result in results] == [TimeoutError, TimeoutError]
    assert champion(registry) == "2"
    assert shell.invoke(app, commands[0]).exit_code == 0


def test_command_with_champion_option_needs_no_confirmation(registry: ModelRegistry, shell: CliRunner) -> None:
    first = shell.invoke(app, ["promote", "1", "--reason", "the first", "--champion", "none"])
    wrong = shell.invoke(app, ["promote", "3", "--reason", "", "--champion", "2"])
    without_option = shell.invoke(app, ["promote", "3", "--reason", ""])
    second = shell.invoke(app, ["promote", "3", "--reason", "the second", "--champion", "1"])

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert isinstance(wrong.exception, InputError)
    assert without_option.exit_code == 1
    assert champion(registry) == "3"
    assert shell.invoke(app, ["rollback", "--reason", "", "--champion", "3"]).exit_code == 0
    assert champion(registry) == "1"
