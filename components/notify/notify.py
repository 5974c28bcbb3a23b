"""Report the end of a run: in the log, and by e-mail if there are addresses."""

from dataclasses import replace

from components.notify.mail import send
from components.notify.message import RunEnd, compose_message
from components.pipeline_run import run_page
from components.run_notes import (
    ExportNote,
    ImportNote,
    IngestNote,
    MaintenanceNote,
    ModelNote,
    RunNote,
    ScoreNote,
    read_run_note,
    remove_run_notes,
)
from components.settings import Settings

# In the order of the tasks.
_KINDS: tuple[type[RunNote], ...] = (IngestNote, ImportNote, ScoreNote, ExportNote, ModelNote, MaintenanceNote)


def announce(settings: Settings, end: RunEnd, to: str = "", run_id: str = "") -> None:
    """Print the end of a run and the figures of its tasks, then send both by e-mail.

    Args:
        settings: Settings that name the lake and the mail server.
        end: The end of the run.
        to: E-mail addresses, separated by commas; empty for the log only.
        run_id: Id of the run, under which its tasks left notes in the lake; empty if there are no notes.

    Raises:
        InputError: The e-mail could not be sent.
    """
    if run_id:
        # KFP's status contains the resource name of the run, but the UI shows its id.
        page = run_page(settings.ui_endpoint, run_id) if settings.ui_endpoint else ""
        end = replace(end, run=run_id, page=page)
    # Print the state before a store or a mail server can fail.
    state_only = compose_message(end)
    print(*state_only.sentences, sep="\n", flush=True)
    message = compose_message(end, _read_notes(settings, run_id))
    for sentence in message.sentences:
        if sentence not in state_only.sentences:
            print(sentence, flush=True)
    if to:
        send(settings, message, to)
    _remove_notes(settings, run_id)


def _read_notes(settings: Settings, run_id: str) -> list[RunNote]:
    if not settings.lake or not run_id:
        return []
    try:
        found = [read_run_note(settings, run_id, kind) for kind in _KINDS]
    # A store or a file may raise any error. The cause of a run's failure must not stop its notification.
    except Exception as error:
        print(f"The figures of the tasks can't be read: {error}", flush=True)
        return []
    return [note for note in found if note is not None]


def _remove_notes(settings: Settings, run_id: str) -> None:
    if not settings.lake or not run_id:
        return
    try:
        remove_run_notes(settings, run_id)
    # A store may raise any error. The notification has been sent, so this task must not fail.
    except Exception as error:
        print(f"The notes of the run remain in the lake: {error}", flush=True)
