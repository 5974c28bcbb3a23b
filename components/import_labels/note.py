"""The note about what was imported: exports that were read are not read again, and a new rule judges all images anew.

It is written last. So a run that was cut off is done again, which changes nothing that is done already.
"""

from pydantic import BaseModel

from components.lake import Lake
from components.storage import files, uri

NOTE_FILE = "_status/import_labels.json"


class Note(BaseModel):
    """What the runs before have done.

    Attributes:
        rule: The rule that `labels` is made by; empty if none was.
        exports: Version of each export that needs no further reading, by source and name.
    """

    rule: str = ""
    exports: dict[str, dict[str, str]] = {}


def note_path(lake: Lake) -> str:
    """Return the note's URI."""
    return uri.join(lake.root, NOTE_FILE)


def write_note(lake: Lake, note: Note) -> None:
    """Write the note, in place of the one before."""
    files.write_text(note_path(lake), note.model_dump_json())


def read_note(lake: Lake) -> Note:
    """Return the note."""
    path = note_path(lake)
    return Note.model_validate_json(files.read_text(path)) if files.exists(path) else Note()
