"""NAME=VALUE pairs and YAML become the arguments of a pipeline, or raise an error in one sentence."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kfp import components, dsl
from typer.testing import CliRunner

from components.errors import InputError
from components.parameters.forms import FORMS, OPTIONS, places
from components.parameters.kinds import choices
from pipelines.catalogue import PipelineName
from pipelines.cli import app
from pipelines.deployment.schedules import load_schedules
from pipelines.parameters import check_defaults, convert_parameters, parse_parameters


@pytest.mark.parametrize(
    ("pairs", "arguments"),
    [
        ([], {}),
        (["source=file:///landing"], {"source": "file:///landing"}),
        (["source="], {"source": ""}),
        # Text stays text, whatever it looks like.
        (["model_name=7"], {"model_name": "7"}),
        (["model_name=true"], {"model_name": "true"}),
        (["model_name=a=b"], {"model_name": "a=b"}),
        (["epochs=12"], {"epochs": 12}),
        (["epochs=2.0"], {"epochs": 2}),
        (["epochs=1e3"], {"epochs": 1000}),
        (["epochs=1", "source=/a", "epochs=2"], {"epochs": 2, "source": "/a"}),
        (['cpu_node_selector={"pool": "cpu"}'], {"cpu_node_selector": {"pool": "cpu"}}),
        (["cpu_node_selector={}"], {"cpu_node_selector": {}}),
        (
            ['cpu_tolerations=[{"key": "a", "operator": "Exists"}]'],
            {"cpu_tolerations": [{"key": "a", "operator": "Exists"}]},
        ),
        # Keys go to their field.
        (["learning_rate=1"], {"training_options": {"learning_rate": 1.0}}),
        (["learning_rate=.5", "timeline=TRUE"], {"training_options": {"learning_rate": 0.5, "timeline": True}}),
        ([r"label_pattern=^(?P<name>\w)"], {"ingest_options": {"label_pattern": r"^(?P<name>\w)"}}),
        (["rank_cpu=2", "gpu_node_selector={}"], {"placement": {"rank_cpu": "2", "gpu_node_selector": {}}}),
        (["training_options.seed=7", "dropout=0"], {"training_options": {"seed": 7, "dropout": 0.0}}),
        # A field may be given as an object, key by key, or both.
        (['training_options={"seed": 7}'], {"training_options": {"seed": 7}}),
        (['training_options={"seed": 7}', "dropout=0"], {"training_options": {"seed": 7, "dropout": 0.0}}),
        (["seed=7", 'training_options={"seed": 7.0}'], {"training_options": {"seed": 7}}),
        (['training_options={"seed": 7}', 'training_options={"seed": 8}'], {"training_options": {"seed": 8}}),
        (['training_options={"seed": 7}', 'training_options={"dropout": 0}'], {"training_options": {"dropout": 0.0}}),
        (["seed=7", "seed=8"], {"training_options": {"seed": 8}}),
        (["training_options={}"], {"training_options": {}}),
    ],
)
def test_pairs_become_arguments(pairs: list[str], arguments: dict[str, Any]) -> None:
    parsed = parse_parameters("training", pairs)

    assert json.dumps(parsed, sort_keys=True) == json.dumps(arguments, sort_keys=True)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        (["epochs"], "--param: 'epochs' is not NAME=VALUE."),
        (["=1"], "--param: '=1' is not NAME=VALUE."),
        (["epochs="], "epochs: '' is not a whole number."),
        (["epochs=many"], "epochs: 'many' is not a whole number."),
        (["epochs=1.5"], "epochs: 1.5 is not a whole number."),
        (["epochs=true"], "epochs: 'true' is not a whole number."),
        (["epochs=null"], "epochs: 'null' is not a whole number."),
        (["dropout=NaN"], "training_options.dropout: 'NaN' is not in the range from 0 to below 1."),
        (["dropout=1e999"], "training_options.dropout: inf is not in the range from 0 to below 1."),
        (["timeline="], "training_options.timeline: '' is not true or false."),
        (["cpu_node_selector=pool=cpu"], "cpu_node_selector: 'pool=cpu' is not a JSON object."),
        (
            ["training_options=[]"],
            'training_options: [] is not a JSON object. Give a JSON object, e.g. {"weights": "imagenet"}.',
        ),
        (['training_options={"seed": true}'], "training_options.seed: true is not a whole number."),
        (["Epoch=1"], "Epoch: unknown parameter. Did you mean epochs?"),
        (["learning_rte=1"], "learning_rte: unknown parameter. Did you mean learning_rate, a key of training_options?"),
        (["training_options.epochs=1"], "training_options.epochs: a parameter of its own, not a key."),
        (["training_options.sed=1"], "training_options.sed: unknown key. Did you mean seed?"),
        (["export_options.seed=1"], "export_options: a parameter of the pipeline scoring only."),
        (["threshold=0.5"], "threshold: a parameter of the pipeline scoring only. Leave it out."),
        (
            ["mlflow_tracking_uri=http://a"],
            "mlflow_tracking_uri: a setting, not a parameter. Set IMAGE_PIPELINES_MLFLOW_",
        ),
        (["labelled=true"], "labelled: renamed to labeled"),
        (
            ["seed=7", 'training_options={"seed": 8}'],
            "training_options.seed: given twice, as 8 and as 7. Leave one of them out.",
        ),
        (["seed=7", "training_options.seed=8"], "training_options.seed: given twice, as 7 and as 8."),
        (["learning-rate=1"], "learning-rate: unknown parameter. Did you mean learning_rate, a key of"),
    ],
)
def test_invalid_pairs_are_refused(pairs: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_parameters("training", pairs)

    assert str(refused.value).startswith(sentence)


def value_of(field: Any) -> st.SearchStrategy[Any]:
    if words := choices(field):
        # Events need a queue.
        return st.sampled_from([word for word in words if word != "events"])
    least = max(getattr(limit, "ge", 1) for limit in (*field.metadata, None))
    return {bool: st.booleans(), int: st.just(least), float: st.just(0.5)}.get(field.annotation, st.nothing())


SCALARS = {
    pipeline: {
        key: strategy
        for key, field in places(form)
        for info in [(OPTIONS[field] if field else form).model_fields[key]]
        if key != "image_size" and not (strategy := value_of(info)).is_empty
    }
    for pipeline, form in FORMS.items()
}


@pytest.mark.parametrize("pipeline", FORMS)
@given(data=st.data())
def test_every_argument_survives_the_command_line_and_yaml(pipeline: str, data: st.DataObject) -> None:
    values = data.draw(st.fixed_dictionaries({}, optional=SCALARS[pipeline]))
    field_of = dict(places(FORMS[pipeline]))

    from_command = parse_parameters(
        pipeline, [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]
    )

    assert from_command == convert_parameters(pipeline, yaml.safe_load(yaml.safe_dump(values)))
    flat = {key: from_command[field_of[key]][key] if field_of[key] else from_command[key] for key in values}
    assert flat == values


@pytest.mark.parametrize(
    ("pair", "sentence"),
    [
        ("minimum_accuracy=95.0", "gate_options.minimum_accuracy: 95 is not within 0..1"),
        ('gate_options={"gain_confidence": 80}', "gate_options.gain_confidence: 80 is not in the range from 0.5"),
        ("minimum_class_images=0", "gate_options.minimum_class_images: 0 is less than 1"),
        ("source=landing", "source: 'landing' is neither an absolute path nor a URI."),
        ("promote=yes", "promote: 'yes' is unknown. Give auto or manual"),
        ('placement={"gpu_node_selector": {"a b": "c"}}', "placement.gpu_node_selector: 'a b' is not a label's key"),
    ],
)
@pytest.mark.parametrize("pipeline", ["training", "labeling"])
def test_a_run_with_bad_parameters_is_refused_before_it_starts(
    tmp_path: Path, pipeline: str, pair: str, sentence: str
) -> None:
    """Nothing listens at the endpoint. If the run started, the error would be about the endpoint."""
    for where in (["--local", "--root", str(tmp_path / "runs")], ["--endpoint", "http://127.0.0.1:1"]):
        ran = CliRunner().invoke(app, ["run", pipeline, *where, "--param", pair])

        assert isinstance(ran.exception, InputError)
        assert str(ran.exception).startswith(sentence)
    assert not (tmp_path / "runs").exists()


def schedules_file(folder: Path, parameters: str, pipeline: str = "training") -> Path:
    file = folder / "schedules.yaml"
    file.write_text(
        f"schedules: [{{name: weekly, pipeline: {pipeline}, cron: 0 0 8 * * SUN, parameters: {{{parameters}}}}}]"
    )
    return file


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("minimum_gain: 2", "gate_options.minimum_gain: 2 is not within -1..1"),
        ("gate_options: {minimum_gain: 2}", "gate_options.minimum_gain: 2 is not within -1..1"),
        ("gate_options: {minimum_gian: 0}", "gate_options.minimum_gian: unknown key. Did you mean minimum_gain?"),
        ("lake: /data/lake, source: /data", "source: '/data' contains lake '/data/lake', so that"),
        ("epochs: true", "epochs: true is not a whole number"),
        ("epochs:", "epochs: null is not a value"),
    ],
)
def test_a_schedule_with_bad_parameters_is_refused_before_it_is_applied(
    tmp_path: Path, parameters: str, sentence: str
) -> None:
    file = schedules_file(tmp_path, parameters)

    applied = CliRunner().invoke(app, ["schedule", "apply", "--file", str(file), "--endpoint", "http://127.0.0.1:1"])

    assert isinstance(applied.exception, InputError)
    assert str(applied.exception).startswith(f"{file}: weekly.{sentence}")


@pytest.mark.parametrize("command", [["upload", "training"], ["schedule", "apply"], ["run", "training"]])
def test_a_compiled_file_of_another_version_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    compiled = tmp_path / "training.yaml"
    text = PipelineName.TRAINING.compiled.read_text()
    monkeypatch.setattr("pipelines.deployment.compiled.COMPILED", tmp_path)
    if command[0] == "schedule":
        command = [*command, "--file", str(schedules_file(tmp_path, ""))]

    for changed, sentence in (
        (
            text.replace("      minimum_gain: 0.0", "      minimum_gian: 0.0"),
            r"gate_options\.minimum_gian: unknown key",
        ),
        (text.replace("      epochs:\n", "      epoch:\n"), "compiled by another version, with other parameters"),
    ):
        assert changed != text
        compiled.write_text(changed)
        done = CliRunner().invoke(app, [*command, "--endpoint", "http://127.0.0.1:1"])

        assert isinstance(done.exception, InputError)
        assert str(done.exception).startswith(f"{compiled}: ")
        with pytest.raises(InputError, match=sentence):
            check_defaults("training", compiled)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        # YAML 1.1 and PyYAML read these as text.
        ("1e-3", 0.001),
        ("2E2", 200.0),
        (".5e0", 0.5),
        ("1.0e-3", 0.001),
        ("1", 1.0),
        ("'1'", 1.0),
    ],
)
def test_a_number_of_a_schedule_may_be_written_in_any_way(tmp_path: Path, text: str, value: float) -> None:
    file = schedules_file(tmp_path, f"learning_rate: {text}, model_name: '1e3', cpu_node_selector: {{a: 1e3x, 1: b}}")

    (schedule,) = load_schedules(file)
    parameters = schedule.with_typed_parameters(file).parameters

    assert parameters == {
        "training_options": {"learning_rate": value},
        "model_name": "1e3",
        "cpu_node_selector": {"a": "1e3x", "1": "b"},
    }
    assert type(parameters["training_options"]["learning_rate"]) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dropout", True),
        ("dropout", float("nan")),
        ("epochs", 1.5),
        ("epochs", float("inf")),
        ("timeline", 2),
        ("source", 7),
        ("source", date(2026, 11, 29)),
        ("cpu_node_selector", {"day": date(2026, 11, 29)}),
        ("cpu_tolerations", [float("nan")]),
        ("gate_options", 3),
    ],
)
def test_a_parameter_of_another_type_in_a_schedule_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^(\w+\.)?{name}.*: .* Give .*\.$"):
        convert_parameters("training", {name: value})


@pytest.mark.parametrize("pipeline", PipelineName)
def test_kfp_accepts_an_integer_for_each_number_and_some_keys_of_each_object(pipeline: PipelineName) -> None:
    form = FORMS[pipeline]
    names = ("learning_rate", "threshold", "fraction", "dropout", "keep_trainings")
    numbers = [f"{key}=1" for key, _ in places(form) if key in names]
    pairs = [pair for pair in numbers if pair != "dropout=1"]

    loaded, arguments = components.load_component_from_file(str(pipeline.compiled)), parse_parameters(pipeline, pairs)

    # KFP checks arguments when it creates a task, as in a local run.
    @dsl.pipeline  # type: ignore[untyped-decorator]
    def outer() -> None:
        loaded(**arguments)

    assert len(arguments) > 0


@pytest.mark.parametrize("pipeline", PipelineName)
def test_help_of_run_lists_the_parameters_of_the_pipeline(pipeline: PipelineName) -> None:
    printed = CliRunner().invoke(app, ["run", pipeline, "--help"]).output

    lines = [line.split()[0] for line in printed.splitlines() if line.strip()]
    assert [key for key, _ in places(FORMS[pipeline]) if key not in lines] == []
    assert "Parameters of" not in CliRunner().invoke(app, ["run", "--help"]).output
