"""The note in the lake about how far discovery has come in a landing folder."""

from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from components.lake import Lake
from components.storage import uri
from components.storage.notes import read_note, write_note


class DiscoveryProgress(BaseModel):
    """How far discovery has come in a landing folder.

    Attributes:
        source: Normalized URI of the folder.
        glob: Pattern of the file names.
        full_listing_at: Start of the last full listing whose files are all in the lake, in UTC.
        start: Relative path from which an incremental listing starts; empty if names do not ascend with time.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    glob: str
    full_listing_at: datetime
    start: str = ""

    @classmethod
    def read(cls, lake: Lake, source: str) -> "DiscoveryProgress | None":
        """Return the note, or None if there is none that this release can read."""
        try:
            return read_note(lake.root, _name(source), cls, lake.files)
        except ValueError:
            return None

    def write(self, lake: Lake) -> None:
        """Write or replace the note."""
        write_note(lake.root, _name(self.source), self, lake.files)

    def needs_full_listing(self, glob: str, days: int, now: datetime) -> bool:
        """Return whether the next listing has to be a full one.

        Args:
            glob: Pattern of the file names now.
            days: Days between two full listings.
            now: The present time, in UTC. A time before the last listing means that the clock was set back.
        """
        return glob != self.glob or not self.full_listing_at <= now < self.full_listing_at + timedelta(days=days)


def _name(source: str) -> str:
    return f"discovery_{uri.digest(source)}"
