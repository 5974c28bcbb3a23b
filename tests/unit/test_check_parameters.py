"""Validation of parameters and settings in the first task of a run."""

import inspect
from typing import Any

import pytest

from components.check_parameters.check import check
from components.check_parameters.component import check_parameters
from components.errors import InputError
from components.parameters.forms import FORMS

SETTINGS = {
    "LAKE": "s3a://bucket/lake",
    "MLFLOW_TRACKING_URI": "http://mlflow",
    "LABELED_SOURCE": "s3a://bucket/labeled",
    "UNLABELED_SOURCE": "s3a://bucket/incoming",
    "ANNOTATIONS_SOURCE": "https://account.blob.core.windows.net/annotations",
    "LABELING_DESTINATION": "https://account.blob.core.windows.net/to-label",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(f"IMAGE_PIPELINES_{name}", value)
    return monkeypatch


def defaults() -> dict[str, Any]:
    """Return the defaults of the component's inputs."""
    parameters = inspect.signature(check_parameters.python_func).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name != "pipeline"}


@pytest.mark.parametrize("pipeline", FORMS)
def test_defaults_of_component_and_form_are_valid(pipeline: str) -> None:
    check(pipeline, defaults())
    check(pipeline, defaults() | FORMS[pipeline]().model_dump(mode="json"))


@pytest.mark.parametrize(
    ("pipeline", "values", "sentence"),
    [
        ("training", {"epochs": -1}, "epochs: -1 is less than 0."),
        ("training", {"gate_options": {"minimum_gian": 0.0}}, "gate_options.minimum_gian: unknown key. Did you mean"),
        ("training", {"lake": "ftp://host/lake"}, "lake: scheme 'ftp'"),
        ("training", {"source": "landing"}, "source: 'landing' is"),
        ("scoring", {"source": "landing"}, "source: 'landing' is"),
        ("scoring", {"destination": "to-label"}, "destination: 'to-label' is"),
        ("labeling", {"source": "ftp://host/annotations"}, "source: scheme 'ftp'"),
        ("labeling", {"label_rule": "most"}, "label_rule: 'most' is unknown. Give latest, majority or unanimous."),
        ("training", {"source": "s3a://bucket"}, "source: 's3a://bucket' contains lake 's3a://bucket/lake', so"),
        (
            "training",
            {"source": "s3a://bucket/incoming/a"},
            "source: 's3a://bucket/incoming/a' lies in unlabeled_source",
        ),
        (
            "scoring",
            {"destination": "s3a://bucket/incoming/a"},
            "destination: 's3a://bucket/incoming/a' lies in unl",
        ),
        (
            "scoring",
            {"ingest_options": {"archive": "s3a://bucket/lake/old"}},
            "archive: 's3a://bucket/lake/old' lies in",
        ),
        (
            "labeling",
            {"source": "s3a://bucket/lake/annotations"},
            "source: 's3a://bucket/lake/annotations' lies",
        ),
        ("nightly", {}, "pipeline: 'nightly' is unknown."),
    ],
)
def test_invalid_parameter_raises_error(pipeline: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        check(pipeline, defaults() | values)

    assert str(error.value).startswith(sentence)


def test_parameters_of_other_pipelines_are_ignored() -> None:
    check("training", defaults() | {"threshold": 7.0, "label_rule": "most"})


@pytest.mark.parametrize(
    ("pipeline", "missing"),
    [
        ("training", "LAKE"),
        ("training", "MLFLOW_TRACKING_URI"),
        ("training", "LABELED_SOURCE"),
        ("labeling", "ANNOTATIONS_SOURCE"),
        ("scoring", "UNLABELED_SOURCE"),
        ("scoring", "LABELING_DESTINATION"),
    ],
)
def test_missing_setting_raises_error(settings: pytest.MonkeyPatch, pipeline: str, missing: str) -> None:
    settings.delenv(f"IMAGE_PIPELINES_{missing}")
    settings.delenv("MLFLOW_TRACKING_URI", raising=False)

    with pytest.raises(InputError, match=rf"^{missing.lower()}: "):
        check(pipeline, defaults())


def test_parameter_replaces_a_missing_setting(settings: pytest.MonkeyPatch) -> None:
    for name in ("LAKE", "UNLABELED_SOURCE", "LABELING_DESTINATION"):
        settings.delenv(f"IMAGE_PIPELINES_{name}")

    check("scoring", defaults() | {"lake": "/lake", "source": "/incoming", "destination": "/to-label"})
