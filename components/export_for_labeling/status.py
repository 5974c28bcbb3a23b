"""The status of the batch that is being exported. The next run reads it to resume a batch whose run was killed.

A lake has one such note: an export holds the writer lock, and finishes an unfinished batch before it starts a new one.
"""

from pydantic import BaseModel

NAME = "export_for_labeling"


class BatchStatus(BaseModel):
    """The status of the newest batch.

    Attributes:
        batch: Name of the batch.
        destination: URI of its destination.
        finished: Whether the destination has the whole batch.
    """

    batch: str
    destination: str
    finished: bool
