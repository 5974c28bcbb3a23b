"""The outcome of the lake's last ingest of a kind of images."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel

from components.ingest_images.status import status_file
from components.settings import Settings
from components.storage import files, uri


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


class LastIngest(BaseModel):
    """What ingest wrote when it ended.

    Attributes:
        finished_at: When it ended, in UTC.
        source: The landing folder.
        found: Files that it had not seen before.
    """

    finished_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    source: str
    found: int


def read_last_ingest(settings: Settings, kind: str) -> LastIngest | None:
    """Return the outcome of the last ingest into the lake, or None if nothing can be known of it.

    Args:
        settings: Name the lake.
        kind: Of which images, `labelled` or `unlabelled`.
    """
    if not settings.lake:
        return None
    try:
        status = uri.join(uri.normalize(settings.lake, "lake"), status_file(kind))
        return LastIngest.model_validate_json(files.read_text(status))
    except FileNotFoundError:
        return None
    # Whatever a store or a file may do: the notification of a failed run must not fail by what failed the run.
    except Exception as error:
        print(f"The outcome of the last ingest can't be read: {error}")
        return None
