"""Parameters of ingesting images."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from components.parameters.options import CHOICE, Integer, Options, Text

# Value of `archive` that deletes ingested files.
DELETE = "delete"
# Groups of `label_pattern`.
CLASS_ID = "label"
CLASS_NAME = "name"
# Suffixes of the image formats that ingest reads, in lower case.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp"),
    *(".heic", ".heif", ".hif", ".avif", ".tif", ".tiff", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
)


class DiscoveryMode(StrEnum):
    """How ingest finds new files.

    Attributes:
        AUTO: By events if a queue is given, else by an incremental listing if the folders are dates, else by a listing.
        LISTING: By a listing of all files.
        INCREMENTAL: By a listing that starts near the end of the last one.
        EVENTS: By the messages of a queue.
    """

    AUTO = "auto"
    LISTING = "listing"
    INCREMENTAL = "incremental"
    EVENTS = "events"


class LabelSource(StrEnum):
    """What names the classes of labeled images, unless a pattern is given.

    Attributes:
        AUTO: The folders, unless it is doubtful that they are classes.
        FOLDERS: The folders.
    """

    AUTO = "auto"
    FOLDERS = "folders"


def check_label_pattern(pattern: str) -> str:
    """Return a pattern of classes unchanged if it is empty, or a regular expression with one of the named groups.

    Raises:
        ValueError: The expression is invalid, or lacks both groups.
    """
    try:
        groups = re.compile(pattern).groupindex.keys()
    except re.error as error:
        raise ValueError(f"'{pattern}' is not a regular expression ({error}). Correct it.") from None
    if pattern and not groups & {CLASS_ID, CLASS_NAME}:
        raise ValueError(
            f"'{pattern}' has no group named {CLASS_ID} or {CLASS_NAME}. Write e.g. (?P<{CLASS_NAME}>[^/]+)/ for the"
            " topmost folder."
        )
    return pattern


class IngestOptions(Options):
    """Which files of the source are images, how new ones are found, and how their folders name classes."""

    glob: Text = Field(
        "",
        description="Pattern of the names of image files, e.g. `*.png`. Matching ignores case. If empty, names with a"
        f" suffix of an image format match: {', '.join(each[1:] for each in IMAGE_SUFFIXES)}. Files and folders whose"
        " names begin with `_` or `.` are always skipped, because such names mark unfinished files. Change it if your"
        " files have another suffix.",
    )
    labels: Annotated[LabelSource, CHOICE] = Field(
        LabelSource.AUTO,
        description="What names the classes of labeled images. `auto`: folders with a number and a name, e.g."
        " `007.zebra`, or with a WordNet id, e.g. `n02391049`; otherwise the topmost folder that is neither a date nor"
        " a general folder such as `train`, unless the files lie at different depths or most folders have one image."
        " `folders`: the same, whatever the depths and the number of images. Set it to `folders` if the report says"
        " that the folders may not be classes, although they are.",
    )
    label_pattern: Text = Field(
        "",
        description=f"Regular expression that finds the class in the path of an image below the source. Its group"
        f" `{CLASS_ID}` is the class id, its group `{CLASS_NAME}` the name; one of them is enough. E.g."
        f" `^(?P<{CLASS_NAME}>[^/]+)/` finds the topmost folder. If empty, `labels` applies. Set it if file names or"
        " other folders name the classes.",
    )
    discovery: Annotated[DiscoveryMode, CHOICE] = Field(
        DiscoveryMode.AUTO,
        description="How new files are found. `listing`: each run lists the whole source. `incremental`: a run lists"
        " from shortly before the end of the last listing, so names must ascend with time, e.g. folders by date."
        " `events`: a run reads the messages of `queue`. `auto`: `events` if `queue` is set, `incremental` if the"
        " folders of the source are dates, e.g. `2026/11/29`, and `listing` otherwise. Change it if names ascend"
        " without dates, or if files with earlier dates keep arriving.",
    )
    queue: Text = Field(
        "",
        validate_default=True,
        description="URL of the queue that receives a message for each new file: an Amazon SQS queue for an `s3a://`"
        " source, e.g. `https://sqs.eu-central-1.amazonaws.com/123456789012/landing`, an Azure Storage queue for an"
        " `abfss://` source, e.g. `https://account.queue.core.windows.net/landing`, or a Pub/Sub subscription for a"
        " `gs://` source, e.g. `https://pubsub.googleapis.com/projects/shop/subscriptions/landing`. A queue belongs to"
        " one source.",
    )
    full_listing_days: Integer = Field(
        7,
        ge=1,
        le=365,
        description="Days after which a run lists the whole source again, although it uses `incremental` or `events`."
        " The full listing finds files that arrived late and files whose messages were lost. Raise it if a full listing"
        " takes too long.",
    )
    overlap_days: Integer = Field(
        2,
        ge=1,
        le=365,
        description="Days before the newest date folder from which an incremental listing starts. Raise it if files"
        " arrive in date folders that are older.",
    )
    archive: Text = Field(
        "",
        description="Folder outside of the source to which ingested files are moved, e.g. `s3a://bucket/archive`, or"
        " `delete` to delete them. A listing moves a file an hour or more after the lake has it. If empty, files stay."
        " Set it to keep the source small.",
    )

    @field_validator("glob")
    @classmethod
    def _is_a_pattern_of_names(cls, value: str) -> str:
        if value and (not value.strip() or "/" in value):
            raise ValueError(f"'{value}' is not a pattern of file names. Write e.g. *.jpg, without a folder.")
        return value

    @field_validator("queue")
    @classmethod
    def _suits_the_discovery(cls, value: str, info: ValidationInfo) -> str:
        mode = info.data.get("discovery", DiscoveryMode.AUTO)
        if not value and mode == DiscoveryMode.EVENTS:
            raise ValueError("empty, but discovery is events. Give the URL of the queue, or set discovery to auto.")
        if value and mode not in (DiscoveryMode.AUTO, DiscoveryMode.EVENTS):
            raise ValueError(f"given, but discovery is {mode}, which reads no queue. Set discovery to events.")
        if value and not re.fullmatch(r"https?://[^/\s]+/\S+", value):
            raise ValueError(f"'{value}' is not the URL of a queue. Write e.g. https://host/queue.")
        return value

    @field_validator("archive")
    @classmethod
    def _is_a_folder_or_delete(cls, value: str) -> str:
        if value and value != DELETE and not value.startswith("/") and ":/" not in value:
            raise ValueError(f"'{value}' is neither a folder nor delete. Write e.g. s3a://bucket/archive.")
        return value

    @field_validator("label_pattern")
    @classmethod
    def _names_classes(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("labels") == LabelSource.FOLDERS:
            raise ValueError("given, but labels is folders. Leave one of them out.")
        return check_label_pattern(value)
