"""Plans: the files of one batch, written before the first of them is read.

A plan fixes everything that its execution depends on: the files, their number and order, the time of the ingest, the
limits and how images get their classes. So a plan that was interrupted anywhere can be executed again with the same
outcome.
"""

import io
import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from components.ingest_images.labels.reader import Labels, dump_labels, load_labels
from components.ingest_images.limits import Limits
from components.lake.ingests import PLANS_FOLDER
from components.storage import uri
from components.storage.files import Files

FILES_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("length", pa.int64()),
        ("modificationTime", pa.timestamp("us", tz="UTC")),
        ("etag", pa.string()),
    ]
)
_METADATA = b"plan"
_NAME = re.compile(r"\d{10}\.parquet")


@dataclass(frozen=True)
class Plan:
    """A batch of files.

    Attributes:
        id: Identifies the plan in `images.batch`.
        number: Number among the plans of its source, from 0. It is the version of the transaction in `images`.
        source: URI of the landing folder.
        planned_at: Time of the ingest, in UTC.
        labels: Reads the class from the path; None leaves the images without labels.
        limits: Upper limits of a valid image.
        requeued: Whether files that have not changed are validated again.
        files: Path, length in bytes, modification time and ETag of the files, sorted by path.
    """

    id: str
    number: int
    source: str
    planned_at: datetime
    labels: Labels | None
    limits: Limits
    requeued: bool
    files: pa.Table

    @classmethod
    def make(
        cls,
        number: int,
        source: str,
        labels: Labels | None,
        limits: Limits,
        found: pa.Table,
        requeued: bool = False,
    ) -> Self:
        """Return a new plan for files that were found now; see the attributes."""
        # The random part distinguishes plans of one number, e.g. after a table was restored to an earlier version.
        plan_id = f"{transaction_id(source)}-{number}-{uuid4().hex[:6]}"
        found = found.select(FILES_SCHEMA.names).cast(FILES_SCHEMA).sort_by("path")
        return cls(plan_id, number, source, datetime.now(UTC), labels, limits, requeued, found)

    @property
    def load_date(self) -> date:
        """The day of the ingest, in UTC."""
        return self.planned_at.date()

    def to_bytes(self) -> bytes:
        """Return the plan as a Parquet file."""
        values = {
            "id": self.id,
            "number": self.number,
            "source": self.source,
            "planned_at": self.planned_at.isoformat(),
            "labels": dump_labels(self.labels),
            "maximum_bytes": self.limits.bytes,
            "maximum_pixels": self.limits.pixels,
            "requeued": self.requeued,
        }
        content = io.BytesIO()
        pq.write_table(self.files.replace_schema_metadata({_METADATA: json.dumps(values)}), content)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Return the plan of a Parquet file."""
        table = pq.read_table(io.BytesIO(content))
        values = json.loads(table.schema.metadata[_METADATA])
        return cls(
            values["id"],
            values["number"],
            values["source"],
            datetime.fromisoformat(values["planned_at"]),
            load_labels(values["labels"]),
            Limits(values["maximum_bytes"], values["maximum_pixels"]),
            values["requeued"],
            table.replace_schema_metadata(),
        )


def transaction_id(source: str) -> str:
    """Return the id of the transactions of a source in `images`.

    Args:
        source: Normalized URI of the landing folder.
    """
    return uri.digest(source)


class PlanFolder:
    """The folder of the plans of a source. At most one plan exists: the open one. Hold the source's lock.

    Args:
        root: Root URI of the lake.
        source: Normalized URI of the landing folder.
        files: Access to the lake's files.
    """

    def __init__(self, root: str, source: str, files: Files) -> None:
        self._uri = uri.join(root, PLANS_FOLDER, transaction_id(source))
        self._files = files

    def open_plan(self) -> Plan | None:
        """Return the plan that an earlier run left; None for none."""
        name = min(filter(_NAME.fullmatch, self._files.list_names(self._uri)), default=None)
        return None if name is None else Plan.from_bytes(self._files.read_bytes(uri.join(self._uri, name)))

    def write(self, plan: Plan) -> None:
        """Write a plan.

        Raises:
            RuntimeError: Another run has written a plan of this number.
        """
        content = plan.to_bytes()
        try:
            self._files.create_bytes(self._file(plan), content)
        except FileExistsError:
            # A client repeats a request whose response was lost.
            if self._files.read_bytes(self._file(plan)) != content:
                raise RuntimeError(
                    f"source: another run has planned batch {plan.number} of '{plan.source}'. Run this step again."
                ) from None

    def remove(self, plan: Plan) -> None:
        """Remove an executed plan."""
        self._files.remove(self._file(plan))

    def _file(self, plan: Plan) -> str:
        return uri.join(self._uri, f"{plan.number:010}.parquet")
