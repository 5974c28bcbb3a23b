"""The checks by name.

Each module is imported when its check runs, because some load Spark, MLflow or KFP.
"""

from collections.abc import Iterable

from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding
from pipelines.doctor.names import CheckName

# Time limit of a check, in seconds. A JVM, a pod or the pull of an image takes minutes to start.
_SECONDS = 90
_LONGER_SECONDS = {CheckName.STORES: 300, CheckName.TABLES: 300, CheckName.IMAGES: 900}


def seconds_of(name: CheckName) -> float:
    """Return the time limit of a check, in seconds."""
    return _LONGER_SECONDS.get(name, _SECONDS)


def findings_of(name: CheckName, context: Context) -> Iterable[Finding]:
    """Run a check, and yield its findings.

    Args:
        name: Name of the check.
        context: The installation.
    """
    match name:
        case CheckName.SETTINGS:
            from pipelines.doctor.settings import check_settings as check
        case CheckName.SECRETS:
            from pipelines.doctor.secrets import check_secrets as check
        case CheckName.FOLDERS:
            from pipelines.doctor.folders import check_folders as check
        case CheckName.STORES:
            from pipelines.doctor.stores import check_stores as check
        case CheckName.CLOCKS:
            from pipelines.doctor.clocks import check_clocks as check
        case CheckName.LOCKS:
            from pipelines.doctor.locks import check_locks as check
        case CheckName.QUEUES:
            from pipelines.doctor.queues import check_queues as check
        case CheckName.LAG:
            from pipelines.doctor.lag import check_lag as check
        case CheckName.REGISTRY:
            from pipelines.doctor.registry import check_registry as check
        case CheckName.KUBEFLOW:
            from pipelines.doctor.kubeflow import check_kubeflow as check
        case CheckName.PERMISSIONS:
            from pipelines.doctor.permissions import check_permissions as check
        case CheckName.OPERATOR:
            from pipelines.doctor.mpi_operator import check_operator as check
        case CheckName.IMAGES:
            from pipelines.doctor.images import check_images as check
        case CheckName.NODES:
            from pipelines.doctor.nodes import check_nodes as check
        case CheckName.TABLES:
            from pipelines.doctor.tables import check_tables as check
    return check(context)
