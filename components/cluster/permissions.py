"""The permissions that tasks need in their namespace.

manifests/base/permissions.yaml grants ours. Kubeflow Pipelines grants its own.
"""

from dataclasses import dataclass
from enum import StrEnum

from kubernetes import client

from components.cluster.api import TIMEOUTS_SECONDS


class Use(StrEnum):
    """What a permission is needed for."""

    TRAINING = "trainings"
    EXECUTORS = "Spark's executors"
    LOCKS = "locks of the lake"
    PIPELINES = "Kubeflow Pipelines"


@dataclass(frozen=True)
class Permission:
    """Permission for one kind of objects.

    Attributes:
        group: API group; empty for the core group.
        resource: Name of the kind in URLs, with its subresource after a slash, e.g. `pods/log`.
        verbs: Allowed operations.
        uses: What needs it.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    uses: tuple[Use, ...]

    @property
    def name(self) -> str:
        """Name of the kind as kubectl writes it, e.g. `mpijobs.kubeflow.org`."""
        return f"{self.resource}.{self.group}" if self.group else self.resource


OURS = (
    Permission("kubeflow.org", "mpijobs", ("get", "list", "create", "delete"), (Use.TRAINING,)),
    Permission("", "events", ("list",), (Use.TRAINING,)),
    Permission("", "pods/log", ("get",), (Use.TRAINING,)),
    Permission(
        "",
        "pods",
        ("get", "list", "watch", "create", "delete", "deletecollection"),
        (Use.EXECUTORS, Use.TRAINING),
    ),
    Permission("coordination.k8s.io", "leases", ("get", "create", "update", "delete"), (Use.LOCKS,)),
)
OF_KUBEFLOW_PIPELINES = (
    Permission("argoproj.io", "workflowtaskresults", ("create", "patch"), (Use.PIPELINES,)),
    Permission("argoproj.io", "workflows", ("get",), (Use.PIPELINES,)),
    Permission("", "secrets", ("get",), (Use.PIPELINES,)),
    Permission("", "configmaps", ("get", "list", "watch"), (Use.PIPELINES,)),
)


def denied_verbs(api: client.ApiClient, namespace: str, permission: Permission) -> list[str]:
    """Return the verbs of a permission that the account of this process lacks. This writes nothing.

    Args:
        api: Client of the cluster.
        namespace: Namespace of the tasks.
        permission: The permission.
    """
    reviews = client.AuthorizationV1Api(api)
    resource, _, subresource = permission.resource.partition("/")
    denied = []
    for verb in permission.verbs:
        attributes = client.V1ResourceAttributes(
            namespace=namespace, group=permission.group, resource=resource, subresource=subresource, verb=verb
        )
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
        )
        answer = reviews.create_self_subject_access_review(review, _request_timeout=TIMEOUTS_SECONDS)
        if not answer.status.allowed:
            denied.append(verb)
    return denied
