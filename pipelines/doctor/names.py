"""The names of the checks. This module loads fast, for the command line."""

from enum import StrEnum


class CheckName(StrEnum):
    """The checks, in the order in which they run.

    Attributes:
        SETTINGS: Values of the settings, and parameters of the recurring runs.
        SECRETS: The ConfigMap and the Secret of the settings.
        FOLDERS: Folders that overlap.
        STORES: Lists, reads and, with `--write`, writes in each folder.
        CLOCKS: Difference between this machine's clock and those of the servers.
        LOCKS: The locks of the lake and their holders.
        QUEUES: Queues of events about new files.
        LAG: Work that is overdue.
        REGISTRY: MLflow, the champion and its history.
        KUBEFLOW: Kubeflow Pipelines, uploaded pipelines and recurring runs.
        PERMISSIONS: Permissions of the tasks' service account.
        OPERATOR: The MPI operator.
        IMAGES: Container images that pods can pull.
        NODES: Nodes on which tasks and ranks fit.
        TABLES: Schema version, split and columns of the lake's tables.
    """

    SETTINGS = "settings"
    SECRETS = "secrets"
    FOLDERS = "folders"
    STORES = "stores"
    CLOCKS = "clocks"
    LOCKS = "locks"
    QUEUES = "queues"
    LAG = "lag"
    REGISTRY = "registry"
    KUBEFLOW = "kubeflow"
    PERMISSIONS = "permissions"
    OPERATOR = "operator"
    IMAGES = "images"
    NODES = "nodes"
    TABLES = "tables"
