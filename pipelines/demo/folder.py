"""Where the demo keeps what it makes."""

from dataclasses import dataclass
from pathlib import Path

# What Spark does about each query that pays with much data only: compile code for it, ask the statistics of its tables
# which files it may leave out, and plan it anew with what its first stages found.
SMALL_QUERIES = (
    "-Dspark.sql.codegen.wholeStage=false -Dspark.sql.codegen.factoryMode=NO_CODEGEN"
    " -Dspark.databricks.delta.stats.skipping=false -Dspark.sql.adaptive.enabled=false"
)


@dataclass(frozen=True)
class DemoFolder:
    """The places below the demo's folder.

    Attributes:
        root: The folder, absolute.
    """

    root: Path

    @property
    def sample(self) -> Path:
        """The sample of images."""
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
        """URI of what MLflow's runs write."""
        return (self.root / "mlflow-artifacts").as_uri()

    @property
    def to_label(self) -> Path:
        """Where images go that people are to label."""
        return self.root / "to_label"

    @property
    def labels(self) -> Path:
        """What the labelling people answered."""
        return self.root / "labels.csv"

    @property
    def runs(self) -> Path:
        """Artifacts of the pipelines' runs."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """The reports of the last demo's tasks."""
        return self.root / "reports"

    @property
    def page(self) -> Path:
        """The page that links the reports."""
        return self.root / "index.html"

    @property
    def summary(self) -> Path:
        """The demo's figures."""
        return self.root / "summary.json"

    def log(self, name: str) -> Path:
        """Return the log file of a pipeline."""
        return self.root / "logs" / f"{name}.log"

    def environment(self, trainer_python: Path) -> dict[str, str]:
        """Return the settings of the demo's installation, as a shell or a ConfigMap would hold them.

        Args:
            trainer_python: Python of the trainer environment.
        """
        return {
            "IMAGE_PIPELINES_LAKE": str(self.lake),
            "IMAGE_PIPELINES_LABELING_DESTINATION": str(self.to_label),
            "IMAGE_PIPELINES_LAUNCHER": "local",
            "IMAGE_PIPELINES_TRAINER_PYTHON": str(trainer_python),
            # Each task's Spark lives for seconds: thorough compilation of its code would not pay.
            "IMAGE_PIPELINES_SPARK_DRIVER_JAVA_OPTIONS": f"-XX:TieredStopAtLevel=1 -XX:+UseSerialGC {SMALL_QUERIES}",
            "MLFLOW_TRACKING_URI": self.tracking_uri,
        }
