"""KFP's artifact of figures, which its UI shows beside those of other runs."""

from typing import Protocol


class MetricsArtifact(Protocol):
    """KFP's `Metrics`."""

    def log_metric(self, metric: str, value: float) -> None:
        """Log a metric."""
