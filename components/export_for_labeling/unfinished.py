"""The note about the batch that is being sent. It outlives a run that is killed, and tells the next one where to go on.

There is one note in a lake: whoever sends a batch holds the writer's lock, and finishes what is unfinished first.
"""

from pydantic import BaseModel

from components.lake import Lake
from components.storage import files, uri

NOTE_FILE = "_status/export_for_labeling.json"


class Note(BaseModel):
    """What is known of the last batch.

    Attributes:
        batch: Its name.
        destination: URI of the destination that it goes to.
        finished: Whether all of it is there.
    """

    batch: str
    destination: str
    finished: bool


def note_path(lake: Lake) -> str:
    """Return the note's URI."""
    return uri.join(lake.root, NOTE_FILE)


def write_note(lake: Lake, note: Note) -> None:
    """Write the note, in place of the one before."""
    files.write_text(note_path(lake), note.model_dump_json())


def read_unfinished(lake: Lake) -> Note | None:
    """Return the note about the batch that was begun and not finished, if there is one."""
    path = note_path(lake)
    if not files.exists(path):
        return None
    note = Note.model_validate_json(files.read_text(path))
    return None if note.finished else note
