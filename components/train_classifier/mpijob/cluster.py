"""The requests that are made of the Kubernetes API for a training. They are all that the account needs rights for."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import urllib3
from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS, api_client, is_passing, patiently
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

Object = dict[str, Any]


class TrainingJobs:
    """MPIJobs of one namespace, and their pods. Objects are as in YAML.

    Args:
        namespace: The namespace.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._client = api_client()
        self._custom = client.CustomObjectsApi(self._client)
        self._core = client.CoreV1Api(self._client)
        self._kind = (API_GROUP, API_VERSION, namespace, PLURAL)

    def get(self, name: str) -> Object | None:
        """Return a job, or None."""
        try:
            job: Object = patiently(self._custom.get_namespaced_custom_object, *self._kind, name)
        except client.ApiException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return job

    def create(self, job: Object) -> bool:
        """Create a job, and return whether it was not there yet.

        Raises:
            InputError: It is refused: by a quota, by a policy, or for what is in it.
        """
        try:
            patiently(self._custom.create_namespaced_custom_object, *self._kind, job)
        except client.ApiException as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY):
                raise InputError(
                    f"launcher: the cluster refuses the job: {_reason(error)}. Ask for less, or have that allowed."
                ) from error
            raise
        return True

    def delete(self, name: str) -> None:
        """Delete a job, and with it all that it has: it is gone after the last of that."""
        try:
            patiently(
                self._custom.delete_namespaced_custom_object,
                *self._kind,
                name,
                body=client.V1DeleteOptions(propagation_policy="Foreground"),
            )
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def of_training(self, training: str) -> list[Object]:
        """Return all jobs of a training.

        Raises:
            InputError: The cluster knows no such jobs.
        """
        selector = f"{TRAINING_LABEL}={training}"
        try:
            found = patiently(self._custom.list_namespaced_custom_object, *self._kind, label_selector=selector)
        except client.ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise InputError(
                f"launcher: this cluster has no {KIND} of {API_GROUP}/{API_VERSION}. Install Kubeflow's MPI operator:"
                " the older training-operator brings another version."
            ) from error
        jobs: list[Object] = found["items"]
        return jobs

    def pods(self, name: str, role: str) -> list[Object]:
        """Return a job's pods, by name.

        Args:
            name: The job.
            role: `worker` or `launcher`.
        """
        selector = f"{_JOB_LABEL}={name},{_ROLE_LABEL}={role}"
        found = patiently(self._core.list_namespaced_pod, self._namespace, label_selector=selector)
        pods: list[Object] = self._client.sanitize_for_serialization(found)["items"]
        return sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))

    def warnings(self, name: str) -> list[str]:
        """Return what the operator complained of, the newest last."""
        selector = f"involvedObject.kind={KIND},involvedObject.name={name},type=Warning"
        found = patiently(self._core.list_namespaced_event, self._namespace, field_selector=selector)
        events = sorted(found.items, key=lambda event: event.last_timestamp or event.metadata.creation_timestamp)
        return [f"{event.reason}: {event.message}" for event in events]

    def log(self, pod: str, since_seconds: int | None) -> str | None:
        """Return what a pod printed, each line after its time; None if that can't be had now.

        Args:
            pod: Name of the pod.
            since_seconds: How far back, or None for all.
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
            # A container that has not started yet, or is gone, has no log either.
            if is_passing(error) or error.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND):
                return None
            raise
        except (urllib3.exceptions.HTTPError, OSError):
            return None
        return content.decode(errors="replace")

    def identity_of(self, pod: str) -> tuple[str, Identity]:
        """Return the name of the run that a pod belongs to, and what its job's pods have of it."""
        found = self._client.sanitize_for_serialization(patiently(self._core.read_namespaced_pod, pod, self._namespace))
        metadata: Mapping[str, Any] = found["metadata"]
        controllers = [each for each in metadata.get("ownerReferences", []) if each.get("controller")]
        # The task's pod is stopped, not deleted, when a run is terminated: the run is what goes in the end.
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
    """Return what the API server says about a refusal."""
    return str(json.loads(error.body)["message"]).rstrip(".")
