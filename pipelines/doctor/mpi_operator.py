"""The MPI operator, which starts the pods of a training."""

import re
from collections.abc import Iterator

from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS, api_client
from components.errors import InputError
from components.train_classifier.mpijob.cluster import NO_OPERATOR, has_operator
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, of_sentences, ok, warning

# The version that the tests run with.
_TESTED = (0, 8)
_NAME = "mpi-operator"
_VERSION = re.compile(r":v?(\d+)\.(\d+)")


def check_operator(context: Context) -> Iterator[Finding]:
    """Yield findings about the kind MPIJob and the operator's Deployment."""
    if context.settings.launcher != "mpijob":
        yield ok("launcher: the MPI operator is not used.")
        return
    api = api_client()
    with cluster_errors("mpijobs.kubeflow.org"):
        if not has_operator(api):
            yield of_sentences(NO_OPERATOR)
            return
    yield ok("launcher: the cluster serves the MPIJobs of v2beta1.")
    try:
        with cluster_errors(f"deployment {_NAME}"):
            found = client.AppsV1Api(api).read_namespaced_deployment(_NAME, _NAME, _request_timeout=TIMEOUTS_SECONDS)
    except InputError:
        # The accounts of tasks may not read it, and it may have another name.
        yield ok(f"launcher: the version of the operator is unknown: its Deployment {_NAME} can't be read.")
        return
    image = found.spec.template.spec.containers[0].image
    yield deployment(image, found.status.ready_replicas or 0)


def deployment(image: str, ready: int) -> Finding:
    """Return the finding about the operator's Deployment.

    Args:
        image: Image of the operator.
        ready: Number of its pods that are ready.
    """
    if not ready:
        return error("launcher: no pod of the MPI operator is ready.", f"Look at the pods of the namespace {_NAME}.")
    match = _VERSION.search(image)
    if match and (int(match[1]), int(match[2])) < _TESTED:
        return warning(
            f"launcher: the MPI operator has the image '{image}', which is older than 0.8.",
            "Install version 0.8, with which the trainings are tested.",
        )
    return ok(f"launcher: the MPI operator '{image}' is ready.")
