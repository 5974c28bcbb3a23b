"""Conversion and validation of parameters, and the errors."""

import json
from typing import Any

import docstring_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.parameters import (
    Choice,
    IngestOptions,
    Placement,
    ScoringFields,
    Training,
    TrainingForm,
    TrainingOptions,
    describe,
    parse,
    parse_form,
    parse_inputs,
)
from components.parameters.forms import FORMS, OPTIONS, places
from components.parameters.kinds import kind
from components.parameters.names import OLD_NAMES


def error_of(pipeline: str, values: dict[str, Any]) -> str:
    with pytest.raises(InputError) as error:
        parse_form(pipeline, values)
    return str(error.value)


@pytest.mark.parametrize(("pipeline", "count"), [("training", 14), ("labeling", 15), ("scoring", 12)])
def test_form_has_the_expected_number_of_fields_and_each_name_once(pipeline: str, count: int) -> None:
    keys = [key for key, _ in places(FORMS[pipeline])]

    assert len(FORMS[pipeline].model_fields) == count
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("model", [*FORMS.values(), *OPTIONS.values()])
def test_each_field_has_one_description_and_a_valid_default(model: Any) -> None:
    for name, field in model.model_fields.items():
        text = model.__doc__ if name in OPTIONS else field.description
        assert text, name
        assert text[0].isupper() or text[0] == "`", name
        assert text.endswith("."), name
    defaults = model().model_dump(mode="json")
    assert model.model_validate(defaults).model_dump(mode="json") == defaults


@pytest.mark.parametrize(
    ("field", "value", "converted"),
    [
        ("epochs", 12.0, 12),
        ("epochs", "12", 12),
        ("epochs", " 12 ", 12),
        ("epochs", "1e1", 10),
        ("epochs", "2.0", 2),
        ("promote", "Manual", "manual"),
        ("training_options", '{"learning_rate": ".5"}', {"learning_rate": 0.5}),
        ("training_options", {"learning_rate": 1}, {"learning_rate": 1.0}),
        ("training_options", {"learning_rate": "1e-3"}, {"learning_rate": 0.001}),
        ("training_options", {"timeline": "true"}, {"timeline": True}),
        ("training_options", {"timeline": "False"}, {"timeline": False}),
        ("training_options", {"batch_size": 16.0}, {"batch_size": 16}),
        ("placement", {"rank_cpu": 2.0}, {"rank_cpu": "2"}),
        ("placement", {"rank_cpu": 0.5}, {"rank_cpu": "0.5"}),
        (
            "placement",
            {"gpu_node_selector": {"gpu": True, "count": 4.0}},
            {"gpu_node_selector": {"gpu": "true", "count": "4"}},
        ),
        ("cpu_node_selector", '{"pool": 7}', {"pool": "7"}),
        ("cpu_tolerations", '[{"key": "a", "operator": "Exists"}]', [{"key": "a", "operator": "Exists"}]),
        (
            "cpu_tolerations",
            [{"key": "a", "value": 1, "effect": "NoExecute", "tolerationSeconds": 60.0}],
            [{"key": "a", "operator": "Equal", "value": "1", "effect": "NoExecute", "tolerationSeconds": 60}],
        ),
    ],
)
def test_unambiguous_value_is_converted(field: str, value: Any, converted: Any) -> None:
    found = parse_form("training", {field: value}).model_dump(mode="json", exclude_unset=True)

    assert found == {field: converted}
    assert json.dumps(found) == json.dumps({field: converted}), "a number is of another type"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"epochs": "many"}, "epochs: 'many' is not a whole number. Give a whole number, 0 or more."),
        ({"epochs": 1.5}, "epochs: 1.5 is not a whole number."),
        ({"epochs": True}, "epochs: true is not a whole number."),
        ({"epochs": None}, "epochs: null is not a value. Give a whole number, 0 or more, or leave it out."),
        ({"epochs": -1}, "epochs: -1 is less than 0."),
        ({"epochs": 1e300}, "epochs: 1e+300 is not a whole number."),
        ({"epochs": 2**31}, "epochs: 2147483648 is too large."),
        ({"epochs": "1,000"}, "epochs: '1,000' is not a whole number."),
        ({"source": 7}, "source: 7 is not text."),
        ({"promote": "yes"}, "promote: 'yes' is unknown. Give auto or manual."),
        ({"backbone": "resnet"}, "backbone: 'resnet' is unknown. Give xception or small."),
        ({"notify_to": "me"}, "notify_to: 'me' is not an e-mail address."),
        ({"gate_options": {"minimum_accuracy": 95}}, "gate_options.minimum_accuracy: 95 is not within 0..1."),
        (
            {"gate_options": {"gain_confidence": 80}},
            "gate_options.gain_confidence: 80 is not in the range from 0.5 to below 1.",
        ),
        ({"gate_options": {"minimum_gain": float("nan")}}, "gate_options.minimum_gain: nan is not within -1..1."),
        ({"gate_options": {"minimum_gain": False}}, "gate_options.minimum_gain: false is not a number."),
        ({"training_options": {"learning_rate": 0}}, "training_options.learning_rate: 0 is not above 0."),
        ({"training_options": {"learning_rate": float("inf")}}, "training_options.learning_rate: inf is not finite."),
        ({"training_options": {"timeline": "maybe"}}, "training_options.timeline: 'maybe' is not true or false."),
        ({"training_options": {"image_size": 40}}, "training_options.image_size: 40 is too small for xception."),
        ({"training_options": {"weights": "vgg"}}, "training_options.weights: 'vgg' is unknown."),
        ({"training_options": "[" * 100_000}, "training_options: '[[["),
        ({"training_options": "{"}, "training_options: '{' is not a JSON object."),
        ({"training_options": []}, "training_options: [] is not a JSON object."),
        ({"ingest_options": {"label_pattern": "("}}, "ingest_options.label_pattern: '(' is not a regular expression"),
        ({"ingest_options": {"label_pattern": "x"}}, "ingest_options.label_pattern: 'x' has no group named label or"),
        (
            {"ingest_options": {"labels": "folders", "label_pattern": "(?P<name>x)"}},
            "ingest_options.label_pattern: given, but labels is folders. Leave one of them out.",
        ),
        ({"ingest_options": {"labels": "names"}}, "ingest_options.labels: 'names' is unknown."),
        ({"ingest_options": {"glob": "a/*.jpg"}}, "ingest_options.glob: 'a/*.jpg' is not a pattern of file names."),
        (
            {"cpu_node_selector": []},
            'cpu_node_selector: [] is not a JSON object. Give a JSON object, e.g. {"pool": "gpu"}.',
        ),
        ({"cpu_node_selector": {"a": None}}, "cpu_node_selector.a: null is not a value. Give text"),
        ({"cpu_node_selector": {"a b": "c"}}, "cpu_node_selector: 'a b' is not a label's key."),
        ({"cpu_node_selector": {"a": "b c"}}, "cpu_node_selector: 'b c' of 'a' is not a label's value."),
        (
            {"cpu_tolerations": [{"operator": "Equal"}]},
            "cpu_tolerations[0]: a toleration without a key tolerates nothing.",
        ),
        ({"cpu_tolerations": [{"key": "a", "effect": "No"}]}, "cpu_tolerations[0].effect: 'No' is unknown."),
        (
            {"placement": {"gpu_tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}},
            "placement.gpu_tolerations[0]: the operator Exists has no value",
        ),
        ({"cpu_node_selector": {"a": 10**400}}, "cpu_node_selector.a: 1000"),
        ({"cpu_node_selector": {"a": float("nan")}}, "cpu_node_selector.a: nan is not text."),
        (
            {"cpu_tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": True}]},
            "cpu_tolerations[0].tolerationSeconds: true is not a whole number.",
        ),
        (
            {"cpu_tolerations": [{"key": "a", "effect": "NoExecute", "tolerationSeconds": 1e30}]},
            "cpu_tolerations[0].tolerationSeconds: 1e+30 is not a whole number.",
        ),
        ({"placement": {"rank_cpu": 10**400}}, "placement.rank_cpu: 1000"),
        ({"placement": {"rank_cpu": "\udcff"}}, "parameters: a text is not valid Unicode."),
        ({"placement": {"rank_cpu": "x"}}, "placement.rank_cpu: 'x' is not a number of cores."),
        ({"placement": {"rank_memory": 6}}, "placement.rank_memory: '6' is less than 256Mi."),
        ({"placement": {"gpus_per_rank": 2}}, "placement.gpus_per_rank: 2 is not within 0..1."),
        ({"placement": {"launcher": "ssh"}}, "placement.launcher: 'ssh' is unknown. Give local or mpijob."),
        ({"ranks": 4, "placement": {"slots_per_worker": 3}}, "placement.slots_per_worker: 3 does not divide 4 ranks."),
    ],
)
def test_invalid_value_raises_error_with_its_name(values: dict[str, Any], sentence: str) -> None:
    assert error_of("training", values).startswith(sentence)


@pytest.mark.parametrize(
    ("pipeline", "values", "sentence"),
    [
        ("training", {"epoch": 1}, "epoch: unknown parameter. Did you mean epochs?"),
        (
            "training",
            {"learning_rte": 1},
            "learning_rte: unknown parameter. Did you mean learning_rate, a key of training_options?",
        ),
        (
            "training",
            {"gate_options": {"minimum_acuracy": 1}},
            "gate_options.minimum_acuracy: unknown key. Did you mean minimum_accuracy?",
        ),
        (
            "training",
            {"gate_options": {"learning_rat": 1}},
            "gate_options.learning_rat: unknown key. Did you mean learning_rate, a key of training_options?",
        ),
        (
            "training",
            {"ingest_options": {"batch_size": 1}},
            "ingest_options.batch_size: belongs to training_options. Move it there.",
        ),
        (
            "training",
            {"training_options": {"epochs": 1}},
            "training_options.epochs: a parameter of its own, not a key. Move it out of training_options.",
        ),
        (
            "training",
            {"training_options": {"batch-size": 1}},
            "training_options.batch-size: unknown key. Did you mean batch_size?",
        ),
        ("training", {"cpu_tolerations": [{"keys": "a"}]}, "cpu_tolerations[0].keys: unknown key. Did you mean key?"),
        (
            "scoring",
            {"label_rule": "latest"},
            "label_rule: a parameter of the pipeline labeling only. Leave it out.",
        ),
        ("scoring", {"batch_size": 1}, "batch_size: a parameter of the pipeline training or labeling only."),
        ("scoring", {"zzz": 1}, "zzz: unknown parameter. Use lake, notify_to,"),
        (
            "scoring",
            {"mlflow_tracking_uri": "x"},
            "mlflow_tracking_uri: a setting, not a parameter. Set IMAGE_PIPELINES_MLFLOW_TRACKING_URI",
        ),
        (
            "scoring",
            {"export_options": {"audit_share": 0.1}},
            "export_options.audit_share: renamed to audit_fraction, a key of export_options.",
        ),
    ],
)
def test_unknown_name_raises_error_with_its_place_or_a_similar_name(
    pipeline: str, values: dict[str, Any], sentence: str
) -> None:
    assert error_of(pipeline, values).startswith(sentence)


def test_old_names_are_not_reused() -> None:
    assert not OLD_NAMES.keys() & {key for form in FORMS.values() for key, _ in places(form)}


def test_unknown_pipeline_raises_error() -> None:
    assert error_of("trainig", {}) == "pipeline: 'trainig' is unknown. Give training, labeling, scoring or maintenance."


@pytest.mark.parametrize("mapping", [{"weights": "none", "batch_size": 3.0}, '{"weights": "none", "batch_size": 3}'])
def test_parse_inputs_combines_fields_and_options(mapping: object) -> None:
    training = parse_inputs(Training, backbone="small", epochs=2, training_options=mapping)

    assert (training.backbone, training.epochs, training.weights, training.batch_size) == ("small", 2, "none", 3)
    assert training.dropout == TrainingOptions().dropout


def test_parse_inputs_with_a_field_or_bad_key_inside_options_raises_error() -> None:
    with pytest.raises(InputError, match=r"^export_options\.threshold: a parameter of its own, not a key"):
        parse_inputs(Choice, threshold=0.5, export_options={"threshold": 0.6})
    with pytest.raises(InputError, match=r"^training_options\.batch_size: 0 is less than 1"):
        parse_inputs(Training, training_options={"batch_size": 0})
    with pytest.raises(InputError, match=r"^ingest_options\.golb: unknown key\. Did you mean glob\?"):
        parse(IngestOptions, {"golb": "*"}, "ingest_options")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "batch_size": st.integers(1, 2**31 - 1),
            "learning_rate": st.floats(1e-9, 1e9),
            "dropout": st.floats(0, 0.99),
            "timeline": st.booleans(),
            "seed": st.integers(0, 2**31 - 1),
        },
    )
)
def test_options_are_equal_after_kfp_turned_integers_into_floats(values: dict[str, Any]) -> None:
    """KFP makes each number inside a JSON object a float."""
    floats = {key: float(value) if type(value) is int else value for key, value in values.items()}

    for given_values in (floats, json.dumps(floats), {key: json.dumps(value) for key, value in values.items()}):
        assert parse(TrainingOptions, given_values).model_dump(exclude_unset=True) == values


def test_tolerations_are_written_as_kubernetes_writes_them() -> None:
    assert Placement().model_dump()["gpu_tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]


def test_docstring_gets_missing_descriptions() -> None:
    @describe(TrainingForm)
    def train(images: int, epochs: int = 12, training_options: dict[str, Any] = {}) -> int:  # noqa: B006
        """Train.

        Args:
            images: How many.

        Returns:
            The version.
        """
        return 1

    parsed = docstring_parser.parse(train.__doc__ or "")
    texts = {parameter.arg_name: parameter.description or "" for parameter in parsed.params}

    assert parsed.returns is not None
    assert parsed.returns.description == "The version."
    assert texts["images"] == "How many."
    assert texts["epochs"].startswith("Maximum number of passes over the training images")
    assert texts["epochs"].endswith("Takes a whole number, 0 or more.")
    for key, field in TrainingOptions.model_fields.items():
        assert f"`{key}`: {field.description} " in texts["training_options"]
        assert kind(field) == "text" or f"Takes {kind(field)}. Default: `" in texts["training_options"]


def test_docstring_without_arguments_gets_them() -> None:
    @describe(TrainingForm)
    def train(epochs: int = 12) -> None:
        """Train."""

    parsed = docstring_parser.parse(train.__doc__ or "")

    assert parsed.short_description == "Train."
    assert [parameter.arg_name for parameter in parsed.params] == ["epochs"]


def test_threshold_of_scoring_outside_0_to_1_raises_error() -> None:
    with pytest.raises(InputError, match=r"^threshold: 95 is not within 0\.\.1\."):
        parse_inputs(ScoringFields, rescore=False, threshold=95)
