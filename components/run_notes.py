"""Notes with the figures of a run's tasks, for the notification at its end: a file per task, in a folder per run.

An exit task can't read the outputs of other tasks, and the newest figures of a lake may be those of another run. So
each task leaves a note under its run's id. The notification removes the notes after it is sent.
"""

from typing import ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from components.pipeline_run import current_run_id
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.storage.notes import note_uri, read_note, write_note

# Maximum number of classes that a note names.
MOST_CLASSES = 10


class RunNote(BaseModel):
    """The figures of a task.

    Attributes:
        NAME: File name without its suffix.
        COUNTS: Fields that add up over the batches and attempts of a task.
    """

    model_config = ConfigDict(frozen=True)

    NAME: ClassVar[str]
    COUNTS: ClassVar[tuple[str, ...]] = ()

    def plus(self, earlier: Self) -> Self:
        """Add the counts of an earlier note of the same task."""
        return self.model_copy(update={name: getattr(self, name) + getattr(earlier, name) for name in self.COUNTS})


class IngestNote(RunNote):
    """The figures of ingest.

    Attributes:
        source: URI of the landing folder.
        found: Number of files that were new or changed.
        ingested: Number of images added to the lake.
        quarantined: Number of files put into quarantine.
        ever_found: Whether ingest has ever found a file in the folder.
    """

    NAME: ClassVar[str] = "ingest_images"
    COUNTS: ClassVar[tuple[str, ...]] = ("found", "ingested", "quarantined")

    source: str
    found: int
    ingested: int
    quarantined: int
    ever_found: bool


class ScoreNote(RunNote):
    """The figures of scoring.

    Attributes:
        model_version: Version of the model.
        scored: Number of images with a new prediction.
        uncertain: Number of those images with a score under the threshold.
        failed: Number of images that could not be decoded.
    """

    NAME: ClassVar[str] = "score_images"
    COUNTS: ClassVar[tuple[str, ...]] = ("scored", "uncertain", "failed")

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model_version: str
    scored: int
    uncertain: int
    failed: int


class ExportNote(RunNote):
    """The figures of an export.

    Attributes:
        destination: Folder URI or container URL of the batches.
        exported: Number of exported images.
    """

    NAME: ClassVar[str] = "export_for_labeling"
    COUNTS: ClassVar[tuple[str, ...]] = ("exported",)

    destination: str
    exported: int


class ImportNote(RunNote):
    """The figures of an import.

    Attributes:
        source: URI or URL of the annotations.
        imported: Number of new annotations.
        rejected: Number of rejected annotations and of images on which people disagree.
        new_labels: Number of labeled images that the champion's training set lacks.
        retrain: Whether a new model is trained.
        ever_found: Whether import has ever found a file in the source.
        waiting_classes: New classes that count from the next import on; at most `MOST_CLASSES`.
    """

    NAME: ClassVar[str] = "import_labels"
    COUNTS: ClassVar[tuple[str, ...]] = ("imported",)

    source: str
    imported: int
    rejected: int
    new_labels: int
    retrain: bool
    ever_found: bool
    waiting_classes: list[str] = []


class ModelNote(RunNote):
    """The decision on a new model.

    Attributes:
        version: Version in the registry.
        promoted: Whether the version is the champion.
        reason: Reason of the decision.
        accuracy: Accuracy on the test images, 0..1.
    """

    NAME: ClassVar[str] = "register_model"

    version: str
    promoted: bool
    reason: str
    accuracy: float


class MaintenanceNote(RunNote):
    """The figures of a maintenance.

    Attributes:
        dry_run: Whether nothing was written, so that the figures afterwards are estimates.
        files_before: Number of the lake's files before.
        files_after: Number of the lake's files afterwards.
        bytes_before: Their length in bytes before.
        bytes_after: Their length in bytes afterwards.
    """

    NAME: ClassVar[str] = "maintain_lake"

    dry_run: bool
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int


AnyNote = TypeVar("AnyNote", bound=RunNote)


def write_run_note(settings: Settings, note: RunNote) -> None:
    """Write a note for the notification of this task's run; outside of a run, do nothing.

    A failure to write it does not fail the task, whose work is done. The error is printed.

    Args:
        settings: Settings that name the lake.
        note: Figures since the last note of the task. The counts of its earlier notes are added.
    """
    run_id = current_run_id()
    if not run_id or not settings.lake:
        return
    try:
        earlier = read_run_note(settings, run_id, type(note))
        total = note if earlier is None else note.plus(earlier)
        write_note(_root(settings), _name(run_id, note), total, Files.of(settings))
    # A store may raise any error.
    except Exception as error:
        print(f"The notification lacks the figures of this task: {error}", flush=True)


def read_run_note(settings: Settings, run_id: str, kind: type[AnyNote]) -> AnyNote | None:
    """Return the note of a task of a run, or None if there is none.

    Args:
        settings: Settings that name the lake.
        run_id: Id of the run.
        kind: Class of the note.
    """
    return read_note(_root(settings), _name(run_id, kind), kind, Files.of(settings))


def remove_run_notes(settings: Settings, run_id: str) -> None:
    """Remove the notes of a run.

    Args:
        settings: Settings that name the lake.
        run_id: Id of the run.
    """
    Files.of(settings).remove_folder(note_uri(_root(settings), f"runs/{run_id}").removesuffix(".json"))


def _root(settings: Settings) -> str:
    return uri.normalize(settings.lake, "lake")


def _name(run_id: str, note: RunNote | type[RunNote]) -> str:
    return f"runs/{run_id}/{note.NAME}"
