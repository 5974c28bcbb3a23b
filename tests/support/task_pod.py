"""A task of a compiled pipeline as the pod that Kubeflow Pipelines would start for it.

KFP's backend turns the compiled YAML into an Argo Workflow. The pods of the workflow run KFP's launcher, which replaces
placeholders and runs the compiled command. The test cluster has neither the backend nor the launcher, so this module
replaces them. There are two differences: artifacts stay in the pod, and the outputs of the function are the container's
termination message.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from kubernetes.utils.quantity import parse_quantity

from tests.support.paths import REPOSITORY

COMPILED = REPOSITORY / "pipelines" / "compiled"
MAIN = "main"

_EXECUTOR_INPUT = "{{$}}"
_TASK_CONFIG = "TASK_CONFIG"
_ARTIFACTS = "minio://mlpipeline/v2/artifacts"
_OUTPUT_FOLDER = "/tmp/kfp_outputs"
_RETURNED = "/dev/termination-log"
# Kubernetes' names of the fields that a task may pass on to a job, by KFP's names.
_FIELDS = {
    "RESOURCES": "resources",
    "ENV": "env",
    "KUBERNETES_NODE_SELECTOR": "nodeSelector",
    "KUBERNETES_TOLERATIONS": "tolerations",
}
# Volumes that KFP mounts into every task's pod, so that any user can write there.
_SCRATCH = {
    "gcs-scratch": "/gcs",
    "s3-scratch": "/s3",
    "minio-scratch": "/minio",
    "dot-local-scratch": "/.local",
    "dot-cache-scratch": "/.cache",
    "dot-config-scratch": "/.config",
}


@dataclass(frozen=True)
class CompiledTask:
    """A task of a compiled pipeline.

    Attributes:
        name: Name of the task, e.g. `ingest-images`.
        component: Inputs and outputs of its component.
        container: Command, image, environment and resources.
        platform: Configuration in the platform document.
        constants: Values of inputs that the pipeline fixes.
        pipeline_parameters: Name of the pipeline's parameter, by input.
        returned: Task and output that an input comes from, by input.
        final_statuses: Name of the task whose final status an input is, by input.
        defaults: Defaults of the pipeline's parameters.
    """

    name: str
    component: Mapping[str, Any]
    container: Mapping[str, Any]
    platform: Mapping[str, Any]
    constants: Mapping[str, Any]
    pipeline_parameters: Mapping[str, str]
    returned: Mapping[str, tuple[str, str]]
    final_statuses: Mapping[str, str]
    defaults: Mapping[str, Any]

    @classmethod
    def load(cls, pipeline: str, name: str) -> "CompiledTask":
        """Read a task from the committed pipelines.

        Args:
            pipeline: Name of the pipeline, e.g. `training`.
            name: Name of the task, e.g. `ingest-images`.
        """
        specification, platform = yaml.safe_load_all((COMPILED / f"{pipeline}.yaml").read_text())
        task = next(task for group in _groups(specification) for each, task in group.items() if each == name)
        component = specification["components"][task["componentRef"]["name"]]
        executor = component["executorLabel"]
        inputs = task.get("inputs", {}).get("parameters", {})
        parameters = specification["root"].get("inputDefinitions", {}).get("parameters", {})
        taken = {key: _parameter_name(each.get("componentInputParameter", "")) for key, each in inputs.items()}
        return cls(
            name=name,
            component=component,
            container=specification["deploymentSpec"]["executors"][executor]["container"],
            platform=platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][executor],
            constants={key: each["runtimeValue"]["constant"] for key, each in inputs.items() if "runtimeValue" in each},
            pipeline_parameters={key: name for key, name in taken.items() if name in parameters},
            returned={
                key: (output["producerTask"], output["outputParameterKey"])
                for key, each in inputs.items()
                if (output := each.get("taskOutputParameter"))
            },
            final_statuses={
                key: each["taskFinalStatus"]["producerTask"]
                for key, each in inputs.items()
                if "taskFinalStatus" in each
            },
            defaults={key: each.get("defaultValue") for key, each in parameters.items()},
        )

    def executor_input(
        self, outputs: Mapping[str, Mapping[str, Any]], parameters: Mapping[str, Any], requests: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the executor's input, with which KFP's launcher replaces a placeholder; see `pod`."""
        declared = self.component.get("inputDefinitions", {}).get("parameters", {})
        values = {key: each["defaultValue"] for key, each in declared.items() if "defaultValue" in each}
        values |= {key: self._parameter(name, parameters) for key, name in self.pipeline_parameters.items()}
        values |= {**self.constants, **{key: outputs[task][output] for key, (task, output) in self.returned.items()}}
        for key, task in self.final_statuses.items():
            values[key] = {"state": "SUCCEEDED", "pipelineJobResourceName": "a-run", "pipelineTaskName": task}
        for key, each in declared.items():
            if each["parameterType"] == _TASK_CONFIG:
                passed = {each["field"] for each in self.component["taskConfigPassthroughs"]}
                values[key] = self._configuration(parameters, requests, passed)
        declared_outputs = self.component.get("outputDefinitions", {})
        return {
            "inputs": {"parameterValues": values},
            "outputs": {
                "parameters": {
                    key: {"outputFile": f"{_OUTPUT_FOLDER}/{key}"} for key in declared_outputs.get("parameters", {})
                },
                "artifacts": {
                    key: {
                        "artifacts": [
                            {
                                "name": key,
                                "type": each["artifactType"],
                                "uri": f"{_ARTIFACTS}/{self.name}/{key}",
                                "metadata": {},
                            }
                        ]
                    }
                    for key, each in declared_outputs.get("artifacts", {}).items()
                },
                "outputFile": _RETURNED,
            },
        }

    def pod(
        self,
        name: str,
        outputs: Mapping[str, Mapping[str, Any]],
        parameters: Mapping[str, Any],
        account: str,
        requests: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the pod.

        Args:
            name: Name of the pod.
            outputs: Output parameters of the tasks before, by task.
            parameters: Parameters of the pipeline's run; the others keep their defaults.
            account: Service account of the run.
            requests: Upper limits of the requests by resource; the compiled requests suit larger nodes than a test has.
        """
        executor_input = json.dumps(_as_protobuf_prints(self.executor_input(outputs, parameters, requests)))
        arguments = [each.replace(_EXECUTOR_INPUT, executor_input) for each in self.container.get("args", [])]
        passed = self.component.get("taskConfigPassthroughs", [])
        kept = set(_FIELDS) - {each["field"] for each in passed if not each.get("applyToTask", False)}
        configuration = self._configuration(parameters, requests, kept)
        metadata = self.platform.get("podMetadata", {})
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"pipelines.kubeflow.org/v2_component": "true", **metadata.get("labels", {})},
                "annotations": metadata.get("annotations", {}),
            },
            "spec": {
                "serviceAccountName": account,
                "restartPolicy": "Never",
                "activeDeadlineSeconds": int(self.platform["activeDeadlineSeconds"]),
                "nodeSelector": configuration.get("nodeSelector", {}),
                "tolerations": configuration.get("tolerations", []),
                "volumes": [{"name": volume, "emptyDir": {}} for volume in _SCRATCH],
                "containers": [
                    {
                        "name": MAIN,
                        "image": self.container["image"],
                        # Argo's executor passes signals to the task's process group, as `tini -g` does. Without
                        # it, a shell that is process 1 ignores SIGTERM for the 30 s that Kubernetes grants.
                        "command": ["tini", "-g", "--", *self.container["command"], *arguments],
                        "env": configuration.get("env", []),
                        "resources": configuration.get("resources", {"requests": requests}),
                        # KFP's compiler sets these.
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                            "seccompProfile": {"type": "RuntimeDefault"},
                        },
                        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in _SCRATCH.items()],
                    }
                ],
            },
        }

    def _configuration(
        self, parameters: Mapping[str, Any], requests: Mapping[str, str], fields: Collection[str]
    ) -> dict[str, Any]:
        """Return the named fields of a task's configuration, as Kubernetes spells them."""
        made: Mapping[str, Callable[[], Any]] = {
            "RESOURCES": lambda: {
                "requests": self._requests(requests),
                "limits": self._quantities("Limit"),
            },
            "ENV": lambda: list(self._environment()),
            "KUBERNETES_NODE_SELECTOR": lambda: self._resolve(
                self.platform["nodeSelector"]["nodeSelectorJson"], parameters
            ),
            "KUBERNETES_TOLERATIONS": lambda: list(self._tolerations(parameters)),
        }
        return {name: made[field]() for field, name in _FIELDS.items() if field in fields}

    def _requests(self, at_most: Mapping[str, str]) -> dict[str, str]:
        """Return the requests by resource: the compiled ones, but no more than `at_most`."""
        compiled = self._quantities("Request")
        smaller = {name: min(value, compiled.get(name, value), key=parse_quantity) for name, value in at_most.items()}
        return compiled | smaller

    def _quantities(self, kind: str) -> dict[str, str]:
        """Return the compiled requests or limits by resource."""
        compiled = {
            name: self.container["resources"].get(f"resource{name.title()}{kind}") for name in ("cpu", "memory")
        }
        return {name: value for name, value in compiled.items() if value is not None}

    def _environment(self) -> Iterator[dict[str, Any]]:
        yield from self.container.get("env", [])
        sources = (
            ("configMapAsEnv", "configMapKeyRef", "configMapName", "configMapKey"),
            ("secretAsEnv", "secretKeyRef", "secretName", "secretKey"),
        )
        for field, reference, name, key in sources:
            for source in self.platform.get(field, []):
                for each in source["keyToEnv"]:
                    selector = {"name": source[name], "key": each[key], "optional": source.get("optional", False)}
                    yield {"name": each["envVar"], "valueFrom": {reference: selector}}
        for each in self.platform.get("fieldPathAsEnv", []):
            yield {"name": each["name"], "valueFrom": {"fieldRef": {"fieldPath": each["fieldPath"]}}}

    def _tolerations(self, parameters: Mapping[str, Any]) -> Iterator[Any]:
        for each in self.platform.get("tolerations", []):
            resolved = self._resolve(each["tolerationJson"], parameters)
            yield from resolved if isinstance(resolved, list) else [resolved]

    def _resolve(self, value: Mapping[str, Any], parameters: Mapping[str, Any]) -> Any:
        if "runtimeValue" in value:
            return value["runtimeValue"]["constant"]
        return self._parameter(_parameter_name(value["componentInputParameter"]), parameters)

    def _parameter(self, name: str, parameters: Mapping[str, Any]) -> Any:
        return parameters.get(name, self.defaults[name])


def _as_protobuf_prints(value: Any) -> Any:
    """Convert whole numbers to integers, as protobuf's JSON in KFP's backend writes them."""
    match value:
        case dict():
            return {key: _as_protobuf_prints(each) for key, each in value.items()}
        case list():
            return [_as_protobuf_prints(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _groups(specification: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for component in (specification["root"], *specification["components"].values()):
        if "dag" in component:
            yield component["dag"]["tasks"]


def _parameter_name(name: str) -> str:
    """Return the pipeline's name of a parameter that a group of tasks gets as an input."""
    return name.removeprefix("pipelinechannel--")
