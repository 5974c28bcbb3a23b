"""The text of a notification."""

from collections.abc import Sequence
from dataclasses import dataclass

from components.run_notes import (
    ExportNote,
    ImportNote,
    IngestNote,
    MaintenanceNote,
    ModelNote,
    RunNote,
    ScoreNote,
)

_SUCCEEDED = "succeeded"
_FAILED = "failed"
_CANCELED = "was canceled"
# The exit task starts after all other tasks have ended. So a state that is not final was reported before the run ended.
_STOPPED = "was stopped before it ended"
_UNKNOWN = "ended in an unknown state"
# States of KFP's metadata (COMPLETE, CACHED, CANCELED, NEW), of its API and of kfp.local (SUCCEEDED, CANCELLED).
_OUTCOMES = {
    "COMPLETE": _SUCCEEDED,
    "SUCCEEDED": _SUCCEEDED,
    "CACHED": _SUCCEEDED,
    "FAILED": _FAILED,
    "CANCELED": _CANCELED,
    "CANCELLED": _CANCELED,
    "CANCELING": _CANCELED,
    "SKIPPED": "was skipped",
    "NEW": _STOPPED,
    "PENDING": _STOPPED,
    "RUNNING": _STOPPED,
    "PAUSED": _STOPPED,
    "": _UNKNOWN,
    "UNKNOWN": _UNKNOWN,
    "RUNTIME_STATE_UNSPECIFIED": _UNKNOWN,
}
_HINTS = {
    _FAILED: "The log of the failed task shows the cause.",
    _STOPPED: "Someone terminated it, or a task was lost. The UI shows the state of each task.",
    _UNKNOWN: "The UI shows the state of each task.",
}


@dataclass(frozen=True)
class RunEnd:
    """The end of a run, as Kubeflow Pipelines reports it.

    Attributes:
        run: Id or resource name of the run.
        state: State of the run, e.g. `COMPLETE`, `SUCCEEDED` or `FAILED`.
        error: Error message of the run; empty for none.
        pipeline: Name of the pipeline; empty if unknown.
        page: URL of the run's page in the UI; empty for none.
    """

    run: str
    state: str
    error: str = ""
    pipeline: str = ""
    page: str = ""


@dataclass(frozen=True)
class Message:
    """A notification.

    Attributes:
        subject: One line without control characters.
        sentences: Lines without control characters.
    """

    subject: str
    sentences: tuple[str, ...]


def compose_message(end: RunEnd, notes: Sequence[RunNote] = ()) -> Message:
    """Return the notification about the end of a run.

    Args:
        end: The end of the run.
        notes: Figures of its tasks, in the order of the tasks.
    """
    outcome = _OUTCOMES.get(end.state, f"ended in the state '{end.state}'")
    name = f"{end.pipeline} (run {end.run})" if end.pipeline else f"Run {end.run}"
    sentences = [f"{name} {outcome}{': ' + end.error if end.error else '.'}"]
    if outcome in _HINTS:
        sentences.append(_HINTS[outcome])
    sentences += [sentence for note in notes for sentence in _sentences(note)]
    if end.page:
        sentences.append(f"The run: {end.page}")
    subject = ", ".join([f"{end.pipeline or end.run} {outcome}", *filter(None, map(_subject, notes))])
    return Message(one_line(subject), tuple(map(one_line, sentences)))


def one_line(text: str) -> str:
    """Replace each sequence of white space and control characters by one space."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _subject(note: RunNote) -> str:
    """Return what the subject line mentions of a note; empty for nothing."""
    match note:
        case IngestNote(found=0, ever_found=False) | ImportNote(ever_found=False):
            return "nothing has ever been found in the source"
        case IngestNote(found=0):
            return "no new image was found"
        case ModelNote(promoted=True):
            return f"version {note.version} is the champion"
        case _:
            return ""


def _sentences(note: RunNote) -> list[str]:
    match note:
        case IngestNote():
            return [_ingested(note)]
        case ScoreNote():
            return [
                f"Scored: {note.scored:,} images by version {note.model_version}, {note.uncertain:,} of them uncertain;"
                f" {note.failed:,} could not be decoded."
            ]
        case ExportNote():
            return [f"Exported: {note.exported:,} images to {note.destination}."]
        case ImportNote(ever_found=False):
            return [f"Nothing has ever been found in {note.source}. If people have labeled images, check the URI."]
        case ImportNote():
            retrain = "A new model is trained." if note.retrain else "No new model is trained."
            return [
                f"Imported: {note.imported:,} new annotations from {note.source}, {note.rejected:,} left out."
                f" The champion's training set lacks {note.new_labels:,} labels. {retrain}",
                *_waiting(note),
            ]
        case ModelNote():
            decision = "is the champion" if note.promoted else "was not promoted"
            return [f"Model: version {note.version} (accuracy {note.accuracy:.1%}) {decision}: {note.reason}."]
        case MaintenanceNote():
            return [_maintained(note)]
        case _:
            raise TypeError(f"no text for {type(note).__name__}")


def _waiting(note: ImportNote) -> list[str]:
    if not note.waiting_classes:
        return []
    names = ", ".join(note.waiting_classes)
    return [f"New classes, which count from the next import on: {names}. Correct them now if they are misspelled."]


def _maintained(note: MaintenanceNote) -> str:
    figures = (
        f"{note.files_before:,} files, {note.bytes_before / 1e9:,.2f} GB before; {note.files_after:,} files,"
        f" {note.bytes_after / 1e9:,.2f} GB"
    )
    return f"The lake: {figures} {'after a run, by estimate. Nothing was written.' if note.dry_run else 'now.'}"


def _ingested(note: IngestNote) -> str:
    if note.found:
        return (
            f"Ingested: {note.found:,} new files in {note.source}, {note.ingested:,} images added,"
            f" {note.quarantined:,} quarantined."
        )
    if note.ever_found:
        return f"No new image was found in {note.source}."
    return f"Nothing has ever been found in {note.source}. Check the URI unless no image has landed yet."
