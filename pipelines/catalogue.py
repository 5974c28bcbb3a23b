"""The names of all pipelines and components. Commands, generated files and tests read them here."""

from enum import StrEnum
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
COMPILED = REPOSITORY / "pipelines" / "compiled"


class PipelineName(StrEnum):
    """The pipelines, each defined by the function of this name in the module `pipelines.<name>`."""

    TRAINING = "training"
    SCORING = "scoring"
    LABELING = "labeling"
    MAINTENANCE = "maintenance"

    @property
    def compiled(self) -> Path:
        """The committed compiled pipeline."""
        return COMPILED / f"{self}.yaml"


class ComponentName(StrEnum):
    """The components, each defined by the function of this name in the module `components.<name>.component`."""

    CHECK_PARAMETERS = "check_parameters"
    INGEST_IMAGES = "ingest_images"
    BUILD_TRAINING_SET = "build_training_set"
    TRAIN_CLASSIFIER = "train_classifier"
    EVALUATE_CLASSIFIER = "evaluate_classifier"
    REGISTER_MODEL = "register_model"
    SCORE_IMAGES = "score_images"
    EXPORT_FOR_LABELING = "export_for_labeling"
    IMPORT_LABELS = "import_labels"
    MAINTAIN_LAKE = "maintain_lake"
    NOTIFY = "notify"

    @property
    def folder(self) -> Path:
        """The folder of the component's code, compiled file and README."""
        return REPOSITORY / "components" / self

    @property
    def compiled(self) -> Path:
        """The committed compiled component."""
        return self.folder / "component.yaml"
