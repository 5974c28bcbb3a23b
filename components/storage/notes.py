"""Read and write notes: small JSON files in the folder `_status` of a lake."""

from typing import TypeVar

from pydantic import BaseModel

from components.storage import uri
from components.storage.files import Files

Note = TypeVar("Note", bound=BaseModel)


def note_uri(root: str, name: str) -> str:
    """Return the URI of a note.

    Args:
        root: Root URI of the lake.
        name: Name of the note.
    """
    return uri.join(root, "_status", f"{name}.json")


def read_note(root: str, name: str, kind: type[Note], files: Files) -> Note | None:
    """Return a note, or None if it does not exist.

    Args:
        root: Root URI of the lake.
        name: Name of the note.
        kind: Class of the note.
        files: Access to the lake's files.

    Raises:
        ValueError: The file is not a note of this class.
    """
    try:
        return kind.model_validate_json(files.read_bytes(note_uri(root, name)))
    except FileNotFoundError:
        return None


def write_note(root: str, name: str, note: BaseModel, files: Files) -> None:
    """Write or replace a note atomically.

    Args:
        root: Root URI of the lake.
        name: Name of the note.
        note: The note.
        files: Access to the lake's files.
    """
    files.write_text(note_uri(root, name), note.model_dump_json())
