"""Rules for the committed compiled pipelines. KFP reports no error if a pipeline breaks one of them."""

import ast
import importlib
import inspect
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.cluster.pod import FIELD_PATHS, LABELS, POD_ENVIRONMENT_PREFIX
from components.container_images import ContainerImages
from components.errors import InputError
from components.parameters.describe import description
from components.parameters.forms import FORMS, OPTIONS
from components.parameters.kinds import kind
from components.pipeline_run import RUN_ID_VARIABLE
from components.settings import RENAMED, Settings, variable
from pipelines.catalogue import COMPILED, REPOSITORY, ComponentName, PipelineName
from pipelines.platform import SUBMITTER

_SHIM_STATEMENTS = 15
# KFP's type by the type in a parameter's description. All other types, e.g. choices, are text.
KINDS = defaultdict(
    lambda: "STRING",
    {
        "a whole number": "NUMBER_INTEGER",
        "a number": "NUMBER_DOUBLE",
        "true or false": "BOOLEAN",
        "a JSON object": "STRUCT",
        "a JSON list of objects": "LIST",
    },
)
# KFP's prefix of the inputs of a group of tasks.
_CHANNEL = "pipelinechannel--"
# Component, input and pipeline parameter where the names differ. `to` would not be clear as a parameter of a pipeline.
_RENAMED = {("notify", "to", "notify_to")}


def documents(pipeline: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a pipeline's specification and its platform document."""
    specification, platform = yaml.safe_load_all((COMPILED / f"{pipeline}.yaml").read_text())
    return specification, platform


def tasks(specification: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield the name and the specification of each task, and whether the task runs a container."""
    groups = [specification["root"], *specification["components"].values()]
    for group in groups:
        for name, task in group.get("dag", {}).get("tasks", {}).items():
            yield name, task, "executorLabel" in specification["components"][task["componentRef"]["name"]]


@pytest.fixture(params=list(PipelineName))
def pipeline(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_pipeline_names_are_accepted_by_the_server_and_differ_from_components(pipeline: str) -> None:
    name = documents(pipeline)[0]["pipelineInfo"]["name"]

    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert name not in {component.replace("_", "-") for component in ComponentName}


def test_platform_document_is_complete(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    executors = specification["deploymentSpec"]["executors"]

    # If one key is unknown, the server ignores the whole document without an error.
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    assert set(platform) == {"platforms"}
    assert set(platform["platforms"]) == {"kubernetes"}
    assert set(platform["platforms"]["kubernetes"]) == {"deploymentSpec"}
    configured = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(configured) == set(executors)
    for settings in configured.values():
        # A misspelled field would make every run fail; the parser refuses it.
        json_format.ParseDict(settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_each_task_has_its_pool_time_limit_settings_and_labels(pipeline: str) -> None:
    _, platform = documents(pipeline)
    for name, settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        (config_map,), (secret,) = settings["configMapAsEnv"], settings["secretAsEnv"]
        assert config_map["optional"], name
        assert secret["optional"], name
        variables = [each["envVar"] for each in (*config_map["keyToEnv"], *secret["keyToEnv"])]
        assert sorted(variables) == sorted(map(variable, (*Settings.model_fields, *RENAMED)))
        assert "componentInputParameter" in settings["nodeSelector"]["nodeSelectorJson"], name
        assert all("componentInputParameter" in each["tolerationJson"] for each in settings["tolerations"]), name
        assert settings["tolerations"], name
        assert int(settings["activeDeadlineSeconds"]) > 0, name
        assert settings["podMetadata"]["labels"].items() >= LABELS.items(), name


def test_old_key_of_the_config_map_is_refused_with_its_new_name(pipeline: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, platform = documents(pipeline)
    for settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        (config_map,) = settings["configMapAsEnv"]
        variables = {each["configMapKey"]: each["envVar"] for each in config_map["keyToEnv"]}
        for old, new in RENAMED.items():
            with monkeypatch.context() as environment:
                environment.setenv(variables[variable(old)], "s3a://bucket/landing")
                with pytest.raises(InputError, match=rf"renamed\. Set {variable(new)} instead\."):
                    Settings.load()


def test_each_task_has_its_pods_fields_and_this_versions_images(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    images = ContainerImages.committed()
    fields = {POD_ENVIRONMENT_PREFIX + name.upper(): path for name, path in FIELD_PATHS.items()}
    fields[RUN_ID_VARIABLE] = "metadata.labels['pipeline/runid']"
    for name, settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        assert {each["name"]: each["fieldPath"] for each in settings["fieldPathAsEnv"]} == fields, name
    for name, executor in specification["deploymentSpec"]["executors"].items():
        assert executor["container"]["image"] == images.spark_image, name
        variables = {each["name"]: each["value"] for each in executor["container"]["env"]}
        assert (
            variables.items()
            >= {
                "IMAGE_PIPELINES_SPARK_IMAGE": images.spark_image,
                "IMAGE_PIPELINES_TRAINER_IMAGE": images.trainer_image,
                "IMAGE_PIPELINES_TRAINER_GPU_IMAGE": images.trainer_gpu_image,
            }.items()
        ), name
        # kfp.local warns about every other name of an image.
        assert "python" in executor["container"]["image"], name


def test_pool_parameters_reach_the_groups_that_their_tasks_are_in(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for group in [specification["root"], *specification["components"].values()]:
        inputs = set(group.get("inputDefinitions", {}).get("parameters", {}))
        for task in group.get("dag", {}).get("tasks", {}).values():
            label = specification["components"][task["componentRef"]["name"]].get("executorLabel")
            if label:
                wanted = {
                    executors[label]["nodeSelector"]["nodeSelectorJson"]["componentInputParameter"],
                    *(each["tolerationJson"]["componentInputParameter"] for each in executors[label]["tolerations"]),
                }
                assert wanted <= inputs, label


def test_no_task_uses_the_cache(pipeline: str) -> None:
    for name, task, runs in tasks(documents(pipeline)[0]):
        if runs:
            assert not task["cachingOptions"].get("enableCache", False), name


def test_each_task_but_the_check_is_retried_and_all_have_requests_and_a_memory_limit(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    tried = {
        name: task.get("retryPolicy", {}).get("maxRetryCount", 0) for name, task, runs in tasks(specification) if runs
    }
    assert [name for name, retries in tried.items() if not retries] == ["check-parameters"]
    for name, executor in specification["deploymentSpec"]["executors"].items():
        assert {"resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(
            executor["container"]["resources"]
        ), name


def test_retry_window_covers_the_time_limits_of_all_pods(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, task, runs in tasks(specification):
        if runs and name != "check-parameters":
            label = specification["components"][task["componentRef"]["name"]]["executorLabel"]
            policy, retries = task["retryPolicy"], task["retryPolicy"]["maxRetryCount"]
            # The server reads whole seconds.
            first, window = (
                int(re.fullmatch(r"(\d+)s", policy[field])[1])  # type: ignore[index]
                for field in ("backoffDuration", "backoffMaxDuration")
            )
            backoffs = sum(first * policy["backoffFactor"] ** retry for retry in range(retries))
            running = (retries + 1) * int(executors[label]["activeDeadlineSeconds"])
            day = 24 * 3600
            # In a busy pool, pods wait for nodes. The window includes these waits; the time limits do not.
            assert window >= running + backoffs + day, name


def test_form_is_valid_unchanged_and_explains_empty_fields(pipeline: str) -> None:
    for name, parameter in documents(pipeline)[0]["root"]["inputDefinitions"]["parameters"].items():
        assert parameter.get("defaultValue") is not None, name
        assert re.fullmatch(r"[A-Z`].{10,}\.", parameter["description"], re.DOTALL), name
        if parameter["defaultValue"] == "":
            assert "If empty, " in parameter["description"], name


def test_notify_runs_even_if_a_task_failed(pipeline: str) -> None:
    root = documents(pipeline)[0]["root"]["dag"]["tasks"]

    assert root["notify"]["triggerPolicy"]["strategy"] == "ALL_UPSTREAM_TASKS_COMPLETED"
    assert set(root) == {"notify", *root["notify"]["dependentTasks"]}


def test_locations_are_strings_and_no_task_takes_an_artifact(pipeline: str) -> None:
    for name, task, _ in tasks(documents(pipeline)[0]):
        assert not task.get("inputs", {}).get("artifacts"), name


def test_conditions_are_on_outputs_that_kfp_local_resolves_and_loops_are_not_used(pipeline: str) -> None:
    for name, task, _ in tasks(documents(pipeline)[0]):
        condition = task.get("triggerPolicy", {}).get("condition")
        assert condition is None or re.fullmatch(
            r"inputs\.parameter_values\['pipelinechannel--[a-z-]+-Output'\]\s+== true", condition
        ), name
        assert not {"parameterIterator", "artifactIterator"} & set(task), name


def _top(name: str) -> str:
    return name if name == "components.parameters" else name.split(".")[0]


@pytest.mark.parametrize("component", ComponentName)
def test_shim_is_one_call_and_imports_nothing_heavy_at_the_top(component: str) -> None:
    source = (REPOSITORY / "components" / component / "component.py").read_text()
    module = ast.parse(source)
    imported = {
        _top(name) if name != "components" else f"{name}.{each.names[0].name}"
        for each in module.body
        if isinstance(each, ast.Import | ast.ImportFrom)
        for name in ([each.module or ""] if isinstance(each, ast.ImportFrom) else [alias.name for alias in each.names])
    }
    (function,) = (each for each in module.body if isinstance(each, ast.FunctionDef))

    used = {each.id for each in ast.walk(function) if isinstance(each, ast.Name)}
    assert {argument.arg for argument in function.args.args} <= used, "an input that nothing is done with"
    assert imported <= {"kfp", "components.container_images", "components.parameters"} | sys.stdlib_module_names
    assert len(function.body) - 1 <= _SHIM_STATEMENTS


@pytest.mark.parametrize("component", ComponentName)
def test_shim_does_all_its_work_inside_the_retry_wrapper(component: str) -> None:
    module = ast.parse((REPOSITORY / "components" / component / "component.py").read_text())
    (function,) = (each for each in module.body if isinstance(each, ast.FunctionDef))
    _, *body = function.body
    *imports, step, last = body

    assert all(isinstance(each, ast.Import | ast.ImportFrom) for each in imports)
    assert isinstance(step, ast.FunctionDef)
    assert ast.unparse(last).removeprefix("return ") == f"run_task({step.name})"


@pytest.mark.parametrize("component", ComponentName)
def test_committed_component_loads_and_has_a_description(component: str) -> None:
    (specification,) = yaml.safe_load_all((REPOSITORY / "components" / component / "component.yaml").read_text())
    function = getattr(importlib.import_module(f"components.{component}.component"), component)

    assert specification["pipelineInfo"]["name"] == component.replace("_", "-")
    assert function.description
    executor = specification["deploymentSpec"]["executors"][f"exec-{component.replace('_', '-')}"]
    assert "kfp.dsl.executor_main" in json.dumps(executor["container"])


@pytest.mark.parametrize("pipeline", ["training", "labeling"])
def test_training_task_passes_its_configuration_to_its_ranks_and_keeps_its_own_part(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    component = specification["components"]["comp-train-classifier"]

    passed = {each["field"]: each.get("applyToTask", False) for each in component["taskConfigPassthroughs"]}
    assert passed == {
        "RESOURCES": True,
        "KUBERNETES_AFFINITY": False,
        "KUBERNETES_NODE_SELECTOR": True,
        "KUBERNETES_TOLERATIONS": True,
        "KUBERNETES_VOLUMES": True,
        "ENV": True,
    }
    assert component["inputDefinitions"]["parameters"]["task_config"]["parameterType"] == "TASK_CONFIG"


@pytest.mark.parametrize("pipeline", ["training", "labeling"])
def test_pool_and_size_of_ranks_are_parameters_apart_from_the_tasks(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    task = next(task for name, task, runs in tasks(specification) if runs and name == "train-classifier")
    resources = specification["deploymentSpec"]["executors"]["exec-train-classifier"]["container"]["resources"]

    taken = {name: value.get("componentInputParameter") for name, value in task["inputs"]["parameters"].items()}
    assert taken["placement"] == "pipelinechannel--placement"
    assert (resources["resourceCpuRequest"], resources["resourceMemoryRequest"]) == (SUBMITTER.cpu, SUBMITTER.memory)
    placement = parameters["placement"]["defaultValue"]
    assert (placement["rank_cpu"], placement["rank_memory"]) == ("2", "6Gi")
    assert placement["gpu_node_selector"] == {"pool": "gpu"}
    assert placement["gpu_tolerations"][0]["key"] == "nvidia.com/gpu"


def test_each_group_of_tasks_gets_the_inputs_of_its_tasks(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    for name, component in {"root": specification["root"], **specification["components"]}.items():
        given = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component.get("dag", {}).get("tasks", {}).values():
            for value in task.get("inputs", {}).get("parameters", {}).values():
                taken = value.get("componentInputParameter")
                assert taken is None or taken in given, f"{name}: {taken}"


def test_each_parameter_reaches_the_input_with_its_name(pipeline: str) -> None:
    renamed = {
        (name, given.removeprefix(_CHANNEL), taken.removeprefix(_CHANNEL))
        for name, task, _ in tasks(documents(pipeline)[0])
        for given, value in task.get("inputs", {}).get("parameters", {}).items()
        for taken in [value.get("componentInputParameter", given)]
        if given.removeprefix(_CHANNEL) != taken.removeprefix(_CHANNEL)
    }

    assert renamed == _RENAMED


def test_each_parameter_reaches_every_task_with_an_input_of_its_name(pipeline: str) -> None:
    specification = documents(pipeline)[0]
    parameters = specification["root"]["inputDefinitions"]["parameters"].keys()
    forgotten = {
        (name, each)
        for name, task, runs in tasks(specification)
        if runs
        for each in specification["components"][task["componentRef"]["name"]]["inputDefinitions"]["parameters"]
        if each in parameters and each not in task["inputs"]["parameters"]
    }

    assert forgotten == set()


@pytest.mark.parametrize(("name", "count"), [("training", 14), ("labeling", 15), ("scoring", 12), ("maintenance", 7)])
def test_a_form_has_the_fields_types_and_defaults_of_its_model(name: str, count: int) -> None:
    parameters = documents(name)[0]["root"]["inputDefinitions"]["parameters"]
    fields = FORMS[name].model_fields

    assert len(parameters) == count
    assert {key: each["defaultValue"] for key, each in parameters.items()} == FORMS[name]().model_dump(mode="json")
    assert {key: each["parameterType"] for key, each in parameters.items()} == {
        key: KINDS[kind(field, with_range=False)] for key, field in fields.items()
    }
    for key, each in parameters.items():
        assert each["description"].split() == description(key, fields[key]).split(), key


@pytest.mark.parametrize("component", ComponentName)
def test_a_component_has_the_types_and_defaults_of_the_models(component: ComponentName) -> None:
    (specification,) = yaml.safe_load_all(component.compiled.read_text())
    parameters = specification["root"].get("inputDefinitions", {}).get("parameters", {})
    for key, each in parameters.items():
        if each["parameterType"] in ("TASK_FINAL_STATUS", "TASK_CONFIG"):
            continue
        assert re.fullmatch(r"[A-Z`].*\.", each["description"], re.DOTALL), key
        declared = [form.model_fields[key] for form in FORMS.values() if key in form.model_fields]
        if not declared or "defaultValue" not in each:
            continue
        assert each["parameterType"] == KINDS[kind(declared[0], with_range=False)], key
        empty: Any = {"STRUCT": {}, "LIST": []}.get(each["parameterType"])
        assert each["defaultValue"] == (declared[0].get_default() if empty is None else empty), key


def test_components_have_no_input_for_a_key_of_a_json_field() -> None:
    for component in ComponentName:
        function = getattr(importlib.import_module(f"components.{component}.component"), component)
        inputs = inspect.signature(function.python_func).parameters.keys()
        assert not inputs & {key for model in OPTIONS.values() for key in model.model_fields}, component


def test_the_check_of_parameters_precedes_every_task_but_the_notification(pipeline: str) -> None:
    specification = documents(pipeline)[0]
    (group,) = (
        component["dag"]["tasks"]
        for component in specification["components"].values()
        if "check-parameters" in component.get("dag", {}).get("tasks", {})
    )

    def precedents(name: str) -> set[str]:
        before = set(group[name].get("dependentTasks", []))
        return before.union(*map(precedents, before))

    assert "dependentTasks" not in group["check-parameters"]
    for name in group.keys() - {"check-parameters"}:
        assert "check-parameters" in precedents(name), name
