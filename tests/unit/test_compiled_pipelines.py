"""What the compiled pipelines have to hold, because nothing tells when they do not: a lint over the committed YAML."""

import ast
import importlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2

from components.cluster.labels import LABELS
from components.cluster.pod import FIELD_PATHS, POD_ENVIRONMENT_PREFIX
from components.container_images import ContainerImages
from components.settings import ENVIRONMENT_PREFIX, Settings
from pipelines.generated import COMPILED, COMPONENTS, PIPELINES, REPOSITORY
from pipelines.platform import RANK

_SHIM_STATEMENTS = 15
# KFP's prefix of what a group of tasks is given.
_CHANNEL = "pipelinechannel--"
# A pipeline's parameters are in one namespace, where `to` alone would say little.
_RENAMED = {("notify", "to", "notify_to")}


def documents(pipeline: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a pipeline's specification and its platform document."""
    specification, platform = yaml.safe_load_all((COMPILED / f"{pipeline}.yaml").read_text())
    return specification, platform


def tasks(specification: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield name and specification of each task, and whether it is one that runs a container."""
    groups = [specification["root"], *specification["components"].values()]
    for group in groups:
        for name, task in group.get("dag", {}).get("tasks", {}).items():
            yield name, task, "executorLabel" in specification["components"][task["componentRef"]["name"]]


@pytest.fixture(params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_names_are_what_the_server_accepts_and_no_component_s(pipeline: str) -> None:
    name = documents(pipeline)[0]["pipelineInfo"]["name"]

    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert name not in {component.replace("_", "-") for component in COMPONENTS}


def test_the_platform_document_is_whole(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    executors = specification["deploymentSpec"]["executors"]

    # The server drops the whole document, silently, for one key that it does not know.
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    assert set(platform) == {"platforms"}
    assert set(platform["platforms"]) == {"kubernetes"}
    assert set(platform["platforms"]["kubernetes"]) == {"deploymentSpec"}
    configured = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(configured) == set(executors)
    for settings in configured.values():
        # A misspelt field would make every run fail; the parser refuses it.
        json_format.ParseDict(settings, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_each_task_has_its_pool_time_limit_settings_and_labels(pipeline: str) -> None:
    _, platform = documents(pipeline)
    for name, settings in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].items():
        (config_map,), (secret,) = settings["configMapAsEnv"], settings["secretAsEnv"]
        assert config_map["optional"], name
        assert secret["optional"], name
        variables = [each["envVar"] for each in (*config_map["keyToEnv"], *secret["keyToEnv"])]
        assert sorted(variables) == sorted(ENVIRONMENT_PREFIX + field.upper() for field in Settings.model_fields)
        assert "componentInputParameter" in settings["nodeSelector"]["nodeSelectorJson"], name
        assert all("componentInputParameter" in each["tolerationJson"] for each in settings["tolerations"]), name
        assert settings["tolerations"], name
        assert int(settings["activeDeadlineSeconds"]) > 0, name
        assert settings["podMetadata"]["labels"].items() >= LABELS.items(), name


def test_each_task_knows_its_pod_and_the_images_of_this_version(pipeline: str) -> None:
    specification, platform = documents(pipeline)
    images = ContainerImages.committed()
    fields = {POD_ENVIRONMENT_PREFIX + name.upper(): path for name, path in FIELD_PATHS.items()}
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


def test_no_task_comes_from_the_cache(pipeline: str) -> None:
    for name, task, runs in tasks(documents(pipeline)[0]):
        if runs:
            assert not task["cachingOptions"].get("enableCache", False), name


def test_each_task_is_tried_again_and_has_requests_and_a_memory_limit(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    for name, task, runs in tasks(specification):
        if runs:
            assert task["retryPolicy"]["maxRetryCount"] > 0, name
    for name, executor in specification["deploymentSpec"]["executors"].items():
        assert {"resourceCpuRequest", "resourceMemoryRequest", "resourceMemoryLimit"} <= set(
            executor["container"]["resources"]
        ), name


def test_the_form_can_be_left_as_it_is_and_says_what_an_empty_field_means(pipeline: str) -> None:
    for name, parameter in documents(pipeline)[0]["root"]["inputDefinitions"]["parameters"].items():
        assert parameter.get("defaultValue") is not None, name
        assert re.fullmatch(r"[A-Z`].{10,}\.", parameter["description"], re.DOTALL), name
        if parameter["defaultValue"] == "":
            assert "empty" in parameter["description"], name


def test_the_pipeline_ends_with_notify_even_if_a_task_failed(pipeline: str) -> None:
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


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_shim_is_one_call_and_its_top_imports_nothing_heavy(component: str) -> None:
    source = (REPOSITORY / "components" / component / "component.py").read_text()
    module = ast.parse(source)
    imported = {
        name.split(".")[0] if name != "components" else f"{name}.{each.names[0].name}"
        for each in module.body
        if isinstance(each, ast.Import | ast.ImportFrom)
        for name in ([each.module or ""] if isinstance(each, ast.ImportFrom) else [alias.name for alias in each.names])
    }
    (function,) = (each for each in module.body if isinstance(each, ast.FunctionDef))

    used = {each.id for each in ast.walk(function) if isinstance(each, ast.Name)}
    assert {argument.arg for argument in function.args.args} <= used, "an input that nothing is done with"
    assert imported <= {"kfp", "components.container_images"} | sys.stdlib_module_names
    assert len(function.body) - 1 <= _SHIM_STATEMENTS


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_committed_component_can_be_loaded_and_says_what_it_does(component: str) -> None:
    (specification,) = yaml.safe_load_all((REPOSITORY / "components" / component / "component.yaml").read_text())
    function = getattr(importlib.import_module(f"components.{component}.component"), component)

    assert specification["pipelineInfo"]["name"] == component.replace("_", "-")
    assert function.description
    executor = specification["deploymentSpec"]["executors"][f"exec-{component.replace('_', '-')}"]
    assert "kfp.dsl.executor_main" in json.dumps(executor["container"])


@pytest.mark.parametrize("pipeline", ["training", "labeling"])
def test_the_training_task_hands_its_configuration_to_its_ranks_and_keeps_what_it_needs(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    component = specification["components"]["comp-train-classifier"]

    passed = {each["field"]: each.get("applyToTask", False) for each in component["taskConfigPassthroughs"]}
    assert passed == {
        "RESOURCES": False,
        "KUBERNETES_AFFINITY": False,
        "KUBERNETES_NODE_SELECTOR": True,
        "KUBERNETES_TOLERATIONS": True,
        "KUBERNETES_VOLUMES": True,
        "ENV": True,
    }
    assert component["inputDefinitions"]["parameters"]["task_config"]["parameterType"] == "TASK_CONFIG"


@pytest.mark.parametrize("pipeline", ["training", "labeling"])
def test_the_ranks_pool_is_a_parameter_of_the_pipeline_and_their_size_is_compiled_in(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    task = next(task for name, task, runs in tasks(specification) if runs and name == "train-classifier")
    resources = specification["deploymentSpec"]["executors"]["exec-train-classifier"]["container"]["resources"]

    taken = {name: value.get("componentInputParameter") for name, value in task["inputs"]["parameters"].items()}
    for name in ("gpu_node_selector", "gpu_tolerations", "gpus_per_rank", "slots_per_worker"):
        assert taken[name] == f"pipelinechannel--{name}"
    assert (resources["resourceCpuRequest"], resources["resourceMemoryRequest"]) == (RANK.cpu, RANK.memory)
    assert parameters["gpu_node_selector"]["defaultValue"] == {"pool": "gpu"}
    assert parameters["gpu_tolerations"]["defaultValue"][0]["key"] == "nvidia.com/gpu"


def test_each_group_of_tasks_is_given_what_its_tasks_take_from_it(pipeline: str) -> None:
    specification, _ = documents(pipeline)
    for name, component in {"root": specification["root"], **specification["components"]}.items():
        given = component.get("inputDefinitions", {}).get("parameters", {})
        for task in component.get("dag", {}).get("tasks", {}).values():
            for value in task.get("inputs", {}).get("parameters", {}).values():
                taken = value.get("componentInputParameter")
                assert taken is None or taken in given, f"{name}: {taken}"


def test_each_parameter_reaches_the_input_of_its_own_name(pipeline: str) -> None:
    renamed = {
        (name, given.removeprefix(_CHANNEL), taken.removeprefix(_CHANNEL))
        for name, task, _ in tasks(documents(pipeline)[0])
        for given, value in task.get("inputs", {}).get("parameters", {}).items()
        for taken in [value.get("componentInputParameter", given)]
        if given.removeprefix(_CHANNEL) != taken.removeprefix(_CHANNEL)
    }

    assert renamed == _RENAMED


def test_each_parameter_of_the_pipeline_is_given_to_every_task_that_has_an_input_of_its_name(pipeline: str) -> None:
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
