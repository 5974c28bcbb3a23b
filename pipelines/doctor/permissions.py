"""Permissions of the account of the tasks."""

from collections.abc import Iterator

from components.cluster.api import api_client
from components.cluster.permissions import OF_KUBEFLOW_PIPELINES, OURS, Permission, Use, denied_verbs
from components.settings import Settings
from pipelines.doctor.cluster_errors import cluster_errors
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, ok, warning


def check_permissions(context: Context) -> Iterator[Finding]:
    """Yield a finding for each permission that the settings need.

    A review of one's own access writes nothing.
    """
    if not context.uses_cluster:
        yield ok("no permission is needed: the settings are those of this machine.")
        return
    api = api_client()
    if not context.is_in_pod:
        yield warning(
            "this process is not in a task's pod, so the permissions below are those of your own account.",
            "Add manifests/components/doctor to the overlay: its Job has the account of the tasks.",
        )
    for permission in needed(context.settings):
        with cluster_errors(permission.name):
            denied = denied_verbs(api, context.namespace, permission)
        yield finding_of(permission, denied, context.namespace)


def needed(settings: Settings) -> list[Permission]:
    """Return the permissions that tasks with these settings need."""
    uses = {Use.PIPELINES}
    if settings.launcher == "mpijob":
        uses.add(Use.TRAINING)
    if settings.spark_master.startswith("k8s://"):
        uses.add(Use.EXECUTORS)
    if settings.lock == "lease":
        uses.add(Use.LOCKS)
    return [each for each in (*OURS, *OF_KUBEFLOW_PIPELINES) if uses.intersection(each.uses)]


def finding_of(permission: Permission, denied: list[str], namespace: str) -> Finding:
    """Return the finding about a permission.

    Args:
        permission: The permission.
        denied: The verbs that the account lacks.
        namespace: Namespace of the tasks.
    """
    uses = ", ".join(permission.uses)
    if not denied:
        return ok(f"{permission.name}: {', '.join(permission.verbs)} is allowed, for {uses}.")
    remedy = "Bind the account to the Role image-pipelines of manifests/base."
    if Use.PIPELINES in permission.uses:
        remedy = "Bind the account to the Role of Kubeflow Pipelines' own account, pipeline-runner."
    return error(
        f"{permission.name}: {', '.join(denied)} is denied in the namespace '{namespace}', but {uses} need it.", remedy
    )
