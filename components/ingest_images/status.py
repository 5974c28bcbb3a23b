"""Store the status of the newest ingest of labeled and of unlabeled images."""

from typing import Self

from pydantic import AwareDatetime, BaseModel, ValidationError

from components.lake import Lake
from components.storage.files import Files
from components.storage.notes import read_note, write_note

LABELED = "labeled"
UNLABELED = "unlabeled"


class IngestStatus(BaseModel):
    """Status of the newest ingest of labeled or of unlabeled images.

    Attributes:
        finished_at: Time of the end or of the newest batch, in UTC.
        source: URI of the landing folder.
        found: Number of files that were new or changed.
        ingested: Number of images added.
        quarantined: Number of files put into quarantine.
    """

    finished_at: AwareDatetime
    source: str
    found: int
    ingested: int
    quarantined: int

    @classmethod
    def read(cls, root: str, kind: str, files: Files) -> Self | None:
        """Return the stored status, or None if it is missing or malformed.

        Args:
            root: Root URI of the lake.
            kind: `LABELED` or `UNLABELED`.
            files: Access to the lake's files.
        """
        try:
            return read_note(root, f"ingest_{kind}", cls, files)
        except ValidationError:
            return None

    def write(self, lake: Lake, kind: str) -> None:
        """Replace the stored status.

        Args:
            lake: The lake.
            kind: `LABELED` or `UNLABELED`.
        """
        write_note(lake.root, f"ingest_{kind}", self, lake.files)
