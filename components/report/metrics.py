"""The interface of KFP's metrics artifacts. KFP's UI compares metrics between runs."""

from typing import Protocol


class MetricsArtifact(Protocol):
    """The part of KFP's class `Metrics` that the components use."""

    def log_metric(self, metric: str, value: float) -> None:
        """Log a metric."""
