"""The labels of everything that the pipelines start: policies select on them, and cloud identities."""

from collections.abc import Mapping
from types import MappingProxyType

LABELS: Mapping[str, str] = MappingProxyType(
    {"app.kubernetes.io/part-of": "image-pipelines", "azure.workload.identity/use": "true"}
)
