"""Settings: a parameter beats a variable, a variable beats a default, and an unknown name is an error."""

import os
import re
import subprocess

import pytest
from pydantic import SecretStr

from components.cluster.pod import Pod
from components.container_images import ContainerImages
from components.errors import InputError
from components.pipeline_run import RUN_ID_VARIABLE
from components.settings import ENVIRONMENT_PREFIX, OTHER_VARIABLES, REMOVED, RENAMED, Settings, variable
from components.train_classifier.environment import RANK_GPUS
from tests.support.paths import REPOSITORY

PASSWORD = "correct horse battery staple"
# Variables that Kubernetes adds to a pod for the Service `image-pipelines-mlflow`.
SERVICE_VARIABLES = {
    "IMAGE_PIPELINES_MLFLOW_SERVICE_HOST": "10.96.0.7",
    "IMAGE_PIPELINES_MLFLOW_SERVICE_PORT": "5000",
    "IMAGE_PIPELINES_MLFLOW_SERVICE_PORT_HTTP": "5000",
    "IMAGE_PIPELINES_MLFLOW_PORT": "tcp://10.96.0.7:5000",
    "IMAGE_PIPELINES_MLFLOW_PORT_5000_TCP": "tcp://10.96.0.7:5000",
    "IMAGE_PIPELINES_MLFLOW_PORT_5000_TCP_PROTO": "tcp",
    "IMAGE_PIPELINES_MLFLOW_PORT_5000_TCP_PORT": "5000",
    "IMAGE_PIPELINES_MLFLOW_PORT_5000_TCP_ADDR": "10.96.0.7",
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith((ENVIRONMENT_PREFIX, "MLFLOW_"))]:
        monkeypatch.delenv(name)


def test_every_setting_has_a_default() -> None:
    assert Settings.load().lake == ""


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"smtp_starttls": "false", "launcher": "mpijob", "lock": "lease"} | dict.fromkeys(
        ("validation_fraction", "test_fraction"), "0.5"
    )
    values = {name: other.get(name, "7") for name in Settings.model_fields}
    for name, value in values.items():
        monkeypatch.setenv(variable(name), value)

    settings = Settings.load()

    for name in values:
        value = getattr(settings, name)
        shown = value.get_secret_value() if isinstance(value, SecretStr) else value
        assert str(shown).lower().removesuffix(".0") == values[name]


def test_parameter_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", "file:///environment")

    assert Settings.load(lake="file:///parameter").lake == "file:///parameter"
    assert Settings.load().lake == "file:///environment"


def test_an_empty_parameter_leaves_the_value_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_LAKE", "file:///environment")

    assert Settings.load(lake="").lake == "file:///environment"
    assert Settings.load(lake=None).lake == "file:///environment"


def test_an_empty_variable_leaves_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, "lakke"):
        monkeypatch.setenv(variable(name), "")

    assert Settings.load() == Settings.load(smtp_port=587)


def test_zero_and_false_count_as_values() -> None:
    assert Settings.load(smtp_starttls=False).smtp_starttls is False
    with pytest.raises(InputError, match=r"^smtp_port: "):
        Settings.load(smtp_port=0)


def test_an_unknown_launcher_is_refused_with_the_choices() -> None:
    with pytest.raises(
        InputError, match=r"^launcher: 'yarn' is unknown\. Give local or mpijob as IMAGE_PIPELINES_LAUNCHER"
    ):
        Settings.load(launcher="yarn")


def test_the_variable_of_mlflow_counts_if_the_prefixed_one_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("test_fraction", "10"),
        ("spark_driver_memory", "lots"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), value)

    with pytest.raises(InputError) as error:
        Settings.load()

    way_out = f" as {variable(name)} in the environment."
    assert re.fullmatch(rf"{name}: '{value}' is not .*\. Give .*{re.escape(way_out)}", str(error.value))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("IMAGE_PIPELINES_LAKKE", "IMAGE_PIPELINES_LAKE"),
        ("IMAGE_PIPELINES_SPARK_MAX_EXECUTORS", "IMAGE_PIPELINES_SPARK_MAXIMUM_EXECUTORS"),
        ("IMAGE_PIPELINES_S3_SECRET_ACCESS_KEY", "IMAGE_PIPELINES_S3_SECRET_KEY"),
        ("IMAGE_PIPELINES_TEST_FRACTON", "IMAGE_PIPELINES_TEST_FRACTION"),
        ("IMAGE_PIPELINES_TRAINER_IMGE", "IMAGE_PIPELINES_TRAINER_IMAGE"),
        # Pydantic reads names in lower case, too.
        ("image_pipelines_smtp_prot", "IMAGE_PIPELINES_SMTP_PORT"),
    ],
)
def test_an_unknown_variable_is_an_error_that_names_the_nearest(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")

    with pytest.raises(InputError) as error:
        Settings.load(lake="file:///lake")

    assert str(error.value) == f"{name.upper()}: unknown setting. Did you mean {nearest}?"


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_the_old_name_of_a_setting_is_an_error_that_names_the_new_one(
    old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(old), "s3a://bucket/landing")

    with pytest.raises(InputError) as error:
        Settings.load()

    assert str(error.value) == f"{variable(old)}: renamed. Set {variable(new)} instead."
    assert new in Settings.model_fields


@pytest.mark.parametrize("name", REMOVED)
def test_a_setting_that_is_no_longer_needed_is_an_error_that_says_so(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable(name), "1000")

    with pytest.raises(InputError, match=rf"^{variable(name)}: no longer needed, because .*\. Remove it\.$"):
        Settings.load()


def test_a_known_variable_of_other_code_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OTHER_VARIABLES:
        monkeypatch.setenv(name, "x")

    assert Settings.load().lake == ""


def test_the_fields_of_other_classes_are_listed() -> None:
    fields = {variable(name) for name in (*ContainerImages.model_fields, *(f"pod_{name}" for name in Pod.model_fields))}

    assert {*fields, RUN_ID_VARIABLE, RANK_GPUS} < OTHER_VARIABLES


def test_every_variable_that_the_repository_mentions_exists() -> None:
    # The compiled pipelines contain the old names, so that a task refuses them.
    existing = {*map(variable, (*Settings.model_fields, *RENAMED)), *OTHER_VARIABLES}
    kinds = ("*.py", "*.md", "*.yaml", "*.sh", "Makefile", ".ci")
    listed = subprocess.run(["git", "ls-files", *kinds], cwd=REPOSITORY, check=True, capture_output=True, text=True)
    mentioned = {
        name
        for file in listed.stdout.splitlines()
        # These mention old and wrong names.
        if not file.startswith(("CHANGELOG.md", "tests/fixtures/", "tests/unit/test_settings.py"))
        for name in re.findall(r"\bIMAGE_PIPELINES(?:_[A-Z0-9]+)+\b(?!\)_)", (REPOSITORY / file).read_text())
    }

    assert mentioned > {"IMAGE_PIPELINES_REGISTRY", "IMAGE_PIPELINES_TEST_KILLS"}
    assert mentioned - existing == set()


def test_the_variables_of_a_service_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICE_VARIABLES.items():
        monkeypatch.setenv(name, value)

    assert Settings.load().mlflow_tracking_uri == ""

    # Without the Service, the same name is unknown.
    monkeypatch.delenv("IMAGE_PIPELINES_MLFLOW_SERVICE_HOST")
    with pytest.raises(InputError, match=r"^IMAGE_PIPELINES_MLFLOW_PORT: unknown setting\."):
        Settings.load()


def test_an_unknown_parameter_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"^smpt_port: unknown setting\. Did you mean smtp_port\?$"):
        Settings.load(smpt_port=25)


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("lake", "IMAGE_PIPELINES_LAKE in the environment, or the pipeline's parameter lake."),
        ("labeled_source", "IMAGE_PIPELINES_LABELED_SOURCE in the environment, or the pipeline's parameter source."),
        ("mlflow_tracking_uri", "IMAGE_PIPELINES_MLFLOW_TRACKING_URI in the environment."),
    ],
)
def test_required_setting_without_a_value_is_an_error_that_names_the_way_out(name: str, way_out: str) -> None:
    with pytest.raises(InputError) as refused:
        Settings.load().required(name)

    assert str(refused.value) == f"{name}: not set. Set {way_out}"


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [name for name, field in Settings.model_fields.items() if field.annotation == SecretStr | None]
    for name in secrets:
        monkeypatch.setenv(variable(name), PASSWORD)

    settings = Settings.load()

    assert set(secrets) >= {"smtp_password", "azure_storage_connection_string"}
    assert all(getattr(settings, name).get_secret_value() == PASSWORD for name in secrets)
    for shown in (repr(settings), str(settings), f"{settings.model_dump()}", settings.model_dump_json()):
        assert PASSWORD not in shown


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().lake = "file:///other"  # type: ignore[misc]  # it is frozen: that is what is tested
