"""The pods that the cluster's tests start correspond to the compiled pipelines."""

import json
from typing import Any

from components.container_images import SPARK
from tests.support.task_pod import MAIN, CompiledTask


def pod(task: CompiledTask, **parameters: Any) -> dict[str, Any]:
    outputs = {"build-training-set": {"training_set": "s3a://sets/1"}}
    return task.pod("pod", outputs, parameters, account="runner", requests={"memory": "1Gi"})


def main_container(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["spec"]["containers"]
    assert container["name"] == MAIN
    return dict(container)


def test_inputs_come_from_the_pipeline_the_task_and_the_defaults() -> None:
    task = CompiledTask.load("scoring", "ingest-images")

    given = {"source": "s3a://landing/new", "ingest_options": {"glob": "*.png"}}
    values = task.executor_input({}, given, {})["inputs"]["parameterValues"]

    assert values["source"] == "s3a://landing/new"
    assert values["ingest_options"] == {"glob": "*.png"}
    assert values["labeled"] is False
    assert values["continuous_interval"] == ""
    assert set(values) == set(task.component["inputDefinitions"]["parameters"])


def test_the_command_gets_the_input_in_place_of_the_placeholder() -> None:
    task = CompiledTask.load("training", "build-training-set")

    command = main_container(pod(task))["command"]

    assert command[:5] == ["tini", "-g", "--", "sh", "-ec"]
    assert command[-2:] == ["--function_to_execute", "build_training_set"]
    given = json.loads(command[command.index("--executor_input") + 1])
    assert given["inputs"]["parameterValues"] == {"lake": ""}
    assert set(given["outputs"]["parameters"]) == {"training_set", "training_set_id", "images"}
    assert given["outputs"]["artifacts"]["report"]["artifacts"][0]["type"]["schemaTitle"] == "system.HTML"


def test_whole_numbers_stay_whole_numbers() -> None:
    task = CompiledTask.load("training", "train-classifier")

    command = main_container(pod(task))["command"]

    given = json.loads(command[command.index("--executor_input") + 1])
    assert isinstance(given["inputs"]["parameterValues"]["epochs"], int)


def test_environment_has_settings_and_the_fields_of_the_pod() -> None:
    task = CompiledTask.load("training", "ingest-images")

    container = main_container(pod(task))
    environment = {each["name"]: each for each in container["env"]}

    assert container["image"] == SPARK
    assert environment["IMAGE_PIPELINES_SPARK_IMAGE"]["value"] == SPARK
    assert environment["IMAGE_PIPELINES_LAKE"]["valueFrom"]["configMapKeyRef"] == {
        "name": "image-pipelines-settings",
        "key": "IMAGE_PIPELINES_LAKE",
        "optional": True,
    }
    secret = environment["IMAGE_PIPELINES_SMTP_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret["name"] == "image-pipelines-secrets"
    assert environment["IMAGE_PIPELINES_POD_IP"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}


def test_the_pool_is_a_parameter_of_the_pipeline() -> None:
    task = CompiledTask.load("training", "ingest-images")
    spot = {"key": "spot", "operator": "Exists"}

    by_default, chosen = (
        pod(task)["spec"],
        pod(task, cpu_node_selector={"disk": "fast"}, cpu_tolerations=[spot])["spec"],
    )

    assert by_default["nodeSelector"] == {"pool": "cpu"}
    assert by_default["tolerations"] == []
    assert chosen["nodeSelector"] == {"disk": "fast"}
    assert chosen["tolerations"] == [spot]


def test_limits_and_deadline_are_the_compiled_ones_and_requests_can_be_smaller() -> None:
    task = CompiledTask.load("training", "ingest-images")

    made = pod(task)

    resources = main_container(made)["resources"]
    assert resources["limits"] == {"memory": task.container["resources"]["resourceMemoryLimit"]}
    assert resources["requests"] == {"cpu": task.container["resources"]["resourceCpuRequest"], "memory": "1Gi"}
    assert made["spec"]["activeDeadlineSeconds"] == int(task.platform["activeDeadlineSeconds"])
    assert made["metadata"]["labels"]["app.kubernetes.io/part-of"] == "image-pipelines"
    assert made["spec"]["serviceAccountName"] == "runner"


def test_compiled_request_below_the_largest_allowed_one_is_kept() -> None:
    task = CompiledTask.load("training", "check-parameters")

    resources = main_container(pod(task))["resources"]

    assert resources["requests"]["memory"] == task.container["resources"]["resourceMemoryRequest"]


def test_task_keeps_passed_on_configuration_only_if_declared() -> None:
    task = CompiledTask.load("training", "train-classifier")

    made = pod(task)

    container = main_container(made)
    values = json.loads(container["command"][-3])["inputs"]["parameterValues"]
    passed = values["task_config"]
    assert passed["resources"]["requests"]["memory"] == "1Gi"
    assert container["resources"] == passed["resources"]
    assert container["resources"]["requests"]["cpu"] == "250m"
    assert values["training_set"] == "s3a://sets/1"
    assert passed["env"] == container["env"]
    assert passed["nodeSelector"] == made["spec"]["nodeSelector"] == {"pool": "cpu"}
