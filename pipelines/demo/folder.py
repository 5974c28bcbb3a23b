"""The demo's folder."""

from dataclasses import dataclass
from pathlib import Path

# Four optimizations cost more than they save on little data: code generation, data skipping by file statistics,
# adaptive query execution, and many tasks per shuffle.
SMALL_QUERIES = (
    "-Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN"
    " -Dspark.databricks.delta.stats.skipping=false -Dspark.sql.adaptive.enabled=false"
    " -Dspark.sql.shuffle.partitions=2"
)


@dataclass(frozen=True)
class DemoFolder:
    """Paths in the demo's folder.

    Attributes:
        root: The folder, absolute.
    """

    root: Path

    @property
    def sample(self) -> Path:
        """Sample images."""
        return self.root / "sample"

    @property
    def lake(self) -> Path:
        """Root of the lake."""
        return self.root / "lake"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry URI."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifacts(self) -> str:
        """URI of the artifacts of MLflow's runs."""
        return (self.root / "mlflow-artifacts").as_uri()

    @property
    def to_label(self) -> Path:
        """Images that people should label."""
        return self.root / "to_label"

    @property
    def labels(self) -> Path:
        """Annotations, as CSV."""
        return self.root / "labels.csv"

    @property
    def runs(self) -> Path:
        """Artifacts of the pipelines' runs."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """Reports of the tasks of the latest demo."""
        return self.root / "reports"

    @property
    def page(self) -> Path:
        """The page that previews the reports."""
        return self.root / "index.html"

    @property
    def summary(self) -> Path:
        """The demo's figures."""
        return self.root / "summary.json"

    def log(self, name: str) -> Path:
        """Return the log file of a pipeline."""
        return self.root / "logs" / f"{name}.log"

    def environment(self, trainer_python: Path) -> dict[str, str]:
        """Return the demo's settings as environment variables.

        Args:
            trainer_python: Python of the trainer environment.
        """
        return {
            "IMAGE_PIPELINES_LAKE": str(self.lake),
            "IMAGE_PIPELINES_LABELING_DESTINATION": str(self.to_label),
            "IMAGE_PIPELINES_LAUNCHER": "local",
            "IMAGE_PIPELINES_TRAINER_PYTHON": str(trainer_python),
            # The Spark of a task runs for seconds, too briefly for optimizing compilation to pay off.
            "IMAGE_PIPELINES_SPARK_DRIVER_JAVA_OPTIONS": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {SMALL_QUERIES}",
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }
