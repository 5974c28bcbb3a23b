"""The names of the checks. The command line imports only this module to parse its arguments."""

from enum import StrEnum


class CheckName(StrEnum):
    """The checks, in the order in which they run.

    Attributes:
        SETTINGS: Values of the settings, and parameters of the recurring runs.
        SECRETS: The ConfigMap and the Secret of the settings.
        FOLDERS: Folders of which one lies in the other.
        STORES: Lists, reads and, with `--write`, writes in each folder.
        CLOCKS: Difference between this machine's clock and those of the servers.
        LOCKS: The locks of the lake and their holders.
        QUEUES: Queues of events about new files.
        LAG: Work that should have been done by now.
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
