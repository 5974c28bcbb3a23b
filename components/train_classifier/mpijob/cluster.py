"""All calls to the Kubernetes API for a training.

The service account needs permissions for these calls only.
"""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS, api_client, call_with_retries, is_transient_error
from components.errors import InputError
from components.train_classifier.mpijob.manifest import (
    API_GROUP,
    API_VERSION,
    CONTAINER,
    KIND,
    PLURAL,
    TRAINING_LABEL,
    Identity,
    Owner,
)

_JOB_LABEL = "training.kubeflow.org/job-name"
_ROLE_LABEL = "training.kubeflow.org/job-role"

NO_OPERATOR = (
    f"launcher: this cluster has no {KIND} of {API_GROUP}/{API_VERSION}. Install Kubeflow's MPI operator. The older"
    " training-operator has another version."
)

Object = dict[str, Any]


def has_operator(api: client.ApiClient) -> bool:
    """Return whether a cluster serves the MPIJobs that trainings create."""
    try:
        served = call_with_retries(client.CustomObjectsApi(api).get_api_resources, API_GROUP, API_VERSION)
    except client.ApiException as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        return False
    return any(resource.name == PLURAL for resource in served.resources)


class TrainingJobs:
    """The MPIJobs of a namespace and their pods.

    Objects are dictionaries with the structure of their YAML.

    Args:
        namespace: Name of the namespace.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._client = api_client()
        self._custom = client.CustomObjectsApi(self._client)
        self._core = client.CoreV1Api(self._client)
        self._kind = (API_GROUP, API_VERSION, namespace, PLURAL)

    def get(self, name: str) -> Object | None:
        """Return an MPIJob, or None if it does not exist."""
        try:
            job: Object = call_with_retries(self._custom.get_namespaced_custom_object, *self._kind, name)
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return job

    def create(self, job: Object) -> bool:
        """Create an MPIJob. Return False if an MPIJob of that name exists.

        Raises:
            InputError: The cluster has no MPI operator, or it rejects the job because of a quota, a policy or a field.
        """
        try:
            call_with_retries(self._custom.create_namespaced_custom_object, *self._kind, job)
        except client.ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            if error.status == HTTPStatus.NOT_FOUND:
                raise InputError(NO_OPERATOR) from error
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise InputError(
                    f"launcher: the cluster rejects the {KIND}: {_reason(error)}. Request fewer resources, or change"
                    " the quota or policy."
                ) from error
            raise
        return True

    def delete(self, name: str) -> None:
        """Delete an MPIJob.

        The MPIJob exists until all of its pods and other dependents are deleted.
        """
        try:
            call_with_retries(
                self._custom.delete_namespaced_custom_object,
                *self._kind,
                name,
                body=client.V1DeleteOptions(propagation_policy="Foreground"),
            )
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def list_for_training(self, training: str) -> list[Object]:
        """Return all MPIJobs of a training. Without an MPI operator there are none.

        Args:
            training: Value of the training's label.
        """
        selector = f"{TRAINING_LABEL}={training}"
        try:
            found = call_with_retries(self._custom.list_namespaced_custom_object, *self._kind, label_selector=selector)
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return []
        jobs: list[Object] = found["items"]
        return jobs

    def pods(self, name: str, role: str) -> list[Object]:
        """Return the pods of an MPIJob, sorted by name.

        Args:
            name: Name of the MPIJob.
            role: `worker` or `launcher`.
        """
        selector = f"{_JOB_LABEL}={name},{_ROLE_LABEL}={role}"
        found = call_with_retries(self._core.list_namespaced_pod, self._namespace, label_selector=selector)
        pods: list[Object] = self._client.sanitize_for_serialization(found)["items"]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    def warnings(self, name: str) -> list[str]:
        """Return the warnings in an MPIJob's events, from oldest to newest."""
        selector = f"involvedObject.kind={KIND},involvedObject.name={name},type=Warning"
        found = call_with_retries(self._core.list_namespaced_event, self._namespace, field_selector=selector)
        events = sorted(found.items, key=lambda event: event.last_timestamp or event.metadata.creation_timestamp)
        return [f"{event.reason}: {event.message}" for event in events]

    def read_log(self, pod: str, since_seconds: int | None) -> str | None:
        """Return the log of a pod with a timestamp before each line, or None if the log is unavailable now.

        Args:
            pod: Name of the pod.
            since_seconds: Maximum age of the lines in seconds; None returns all.
        """
        try:
            response = self._core.read_namespaced_pod_log(
                pod,
                self._namespace,
                container=CONTAINER,
                timestamps=True,
                since_seconds=since_seconds,
                _preload_content=False,
                _request_timeout=TIMEOUTS_SECONDS,
            )
            content: bytes = response.data
        except client.ApiException as error:
            # A container has no log before it starts and after it is deleted.
            if is_transient_error(error) or error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
                return None
            raise
        except (urllib3.exceptions.HTTPError, OSError):
            return None
        return content.decode(errors="replace")

    def pod_identity(self, pod: str) -> tuple[str, Identity]:
        """Return the name of a pod's run, and the identity for the MPIJob's pods.

        Args:
            pod: Name of the pod.
        """
        found = self._client.sanitize_for_serialization(
            call_with_retries(self._core.read_namespaced_pod, pod, self._namespace)
        )
        metadata: Mapping[str, Any] = found["metadata"]
        controllers = [owner for owner in metadata.get("ownerReferences", []) if owner.get("controller")]
        # If the pod belongs to a run, the run owns the MPIJob. The pod does not, because terminating a run stops the
        # pod without deleting it.
        own = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        owner = controllers[0] if controllers else own
        identity = Identity(
            namespace=self._namespace,
            owner=Owner(owner["apiVersion"], owner["kind"], owner["name"], owner["uid"]),
            service_account=found["spec"]["serviceAccountName"],
            image_pull_secrets=found["spec"].get("imagePullSecrets", []),
        )
        return owner["name"], identity


def _reason(error: client.ApiException) -> str:
    """Return the reason that the API server gives for a rejection."""
    return str(json.loads(error.body)["message"]).rstrip(".")
