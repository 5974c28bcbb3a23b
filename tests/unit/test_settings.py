"""Settings: parameter, then environment, then default; errors in one sentence; secrets stay secret."""

import os
import re

import pytest
from pydantic import SecretStr

from components.errors import InputError
from components.settings import ENVIRONMENT_PREFIX, Settings

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith((ENVIRONMENT_PREFIX, "MLFLOW_"))]:
        monkeypatch.delenv(name)


def test_every_setting_has_a_default() -> None:
    assert Settings.load().lake == ""


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {name: "7" if name not in {"smtp_starttls"} else "false" for name in Settings.model_fields}
    for name, value in values.items():
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), value)

    settings = Settings.load()

    for name in values:
        value = getattr(settings, name)
        shown = value.get_secret_value() if isinstance(value, SecretStr) else value
        assert shown is False if name == "smtp_starttls" else float(str(shown)) == 7


def test_a_parameter_beats_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", "file:///environment")

    assert Settings.load(lake="file:///parameter").lake == "file:///parameter"
    assert Settings.load().lake == "file:///environment"


def test_an_empty_parameter_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", "file:///environment")

    assert Settings.load(lake="").lake == "file:///environment"
    assert Settings.load(lake=None).lake == "file:///environment"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), "")

    assert Settings.load() == Settings.load(smtp_port=587)


def test_zero_and_false_are_values() -> None:
    assert Settings.load(smtp_starttls=False).smtp_starttls is False
    with pytest.raises(InputError, match=r"^smtp_port: "):
        Settings.load(smtp_port=0)


def test_mlflows_own_variable_counts_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://injected")
    injected = Settings.load().mlflow_tracking_uri
    monkeypatch.setenv("IMAGE_PIPELINES_MLFLOW_TRACKING_URI", "http://ours")
    ours = Settings.load().mlflow_tracking_uri

    assert (injected, ours) == ("http://injected", "http://ours")
    assert Settings.load(mlflow_tracking_uri="http://parameter").mlflow_tracking_uri == "http://parameter"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lock_timeout_seconds", "0"),
        ("lock_timeout_seconds", "soon"),
        ("smtp_port", "0"),
        ("smtp_port", "65536"),
        ("smtp_starttls", "perhaps"),
    ],
)
def test_a_value_that_is_none_is_one_sentence_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), value)

    with pytest.raises(InputError) as error:
        Settings.load()

    way_out = f"Set the parameter, or {ENVIRONMENT_PREFIX}{name.upper()} in the environment."
    assert re.fullmatch(rf"{name}: [^.\n]+\. {re.escape(way_out)}", str(error.value))


def test_a_parameter_that_is_no_setting_is_named() -> None:
    with pytest.raises(InputError, match=r"^smpt_port: "):
        Settings.load(smpt_port=25)


def test_a_setting_that_is_required_is_named_with_its_variable() -> None:
    assert Settings.load(lake="file:///lake").required("lake") == "file:///lake"
    with pytest.raises(InputError, match=r"^lake: not set\. .* IMAGE_PIPELINES_LAKE in the environment\.$"):
        Settings.load().required("lake")


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None]
    for name in secrets:
        monkeypatch.setenv(ENVIRONMENT_PREFIX + name.upper(), PASSWORD)

    settings = Settings.load()

    assert set(secrets) >= {"smtp_password", "azure_storage_connection_string"}
    assert all(getattr(settings, name).get_secret_value() == PASSWORD for name in secrets)
    for shown in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert PASSWORD not in shown


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().lake = "file:///other"  # type: ignore[misc]  # it is frozen: that is what is tested
