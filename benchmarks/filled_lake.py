"""A lake like one after years of ingest, scoring and labeling.

It is filled by writing its tables directly.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.images import digits
from benchmarks.lakes import insert_classes
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.local_listing import LocalListing
from components.labeling.formats import DEFAULT_SERVICE
from components.labeling.requests import LABELED, UNCERTAIN
from components.lake import Lake
from components.lake.tables import (
    ANNOTATIONS,
    FILES,
    IMAGE,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
    Table,
)
from components.registry.model_registry import RegisteredVersion
from components.storage import uri
from tests.support.lake_rows import append_files, arrow_schema

# All lakes have the same images of the last days. Larger lakes have more older images.
_RECENT_DAYS = 30
_RECENT_IMAGES = 100
_MAXIMUM_DAYS = 365
# Does not apply to `images` and `predictions`, which have a file for each day.
_ROWS_PER_FILE = 50_000
# About 512 KiB of digits.
_ROWS_PER_GROUP = 700
# One image in 20 has a label from its folder, and one in 20 of the other images has a label from people.
_IMAGES_PER_LABEL = 20


@dataclass(frozen=True)
class _Day:
    """The images of a day.

    Attributes:
        date: The day.
        numbers: Numbers of its images in the lake.
    """

    date: date
    numbers: range

    @property
    def noon(self) -> datetime:
        """The time at which all images of the day were written and ingested."""
        return datetime.combine(self.date, time(12), UTC)


@dataclass
class FilledLake:
    """A lake of digits, and a landing folder with a file for each image.

    A lake of any size has 100 images for each of the last 30 days. Its other images are spread over up to 335 earlier
    days. The first twentieth of the images has labels from folders. The champion has scored all other images. People
    have labeled a twentieth of the scored images that are not recent.

    Attributes:
        lake: The lake, which is empty before `fill`.
        landing: The landing folder.
        images: Number of images.
        champion: Model version that has scored the images.
    """

    lake: Lake
    landing: Path
    images: int
    champion: RegisteredVersion
    _hashes: list[pa.Array] = field(default_factory=list, init=False)

    def fill(self) -> None:
        """Write the landing folder and the tables."""
        self._write_landing()
        insert_classes(self.lake)
        # First, because the rows of the other tables need the hashes.
        append_files(self.lake, IMAGES, self._image_rows(), _ROWS_PER_GROUP)
        append_files(self.lake, FILES, _combine_days(self._file_rows()))
        append_files(self.lake, PREDICTIONS, self._prediction_rows())
        for table, rows in self._label_rows().items():
            append_files(self.lake, table, [rows])

    @cached_property
    def _days(self) -> Sequence[_Day]:
        """The days with images, in order."""
        recent = [_RECENT_IMAGES] * _RECENT_DAYS
        older = self.images - sum(recent)
        days = min(_MAXIMUM_DAYS - _RECENT_DAYS, older // _RECENT_IMAGES)
        counts = [older // days + (number < older % days) for number in range(days)] + recent
        ends = list(accumulate(counts))
        today = datetime.now(UTC).date()
        return [
            _Day(today - timedelta(days=len(counts) - number), range(end - count, end))
            for number, (count, end) in enumerate(zip(counts, ends, strict=True))
        ]

    def _is_labeled_by_folder(self, number: int) -> bool:
        return number < self.images // _IMAGES_PER_LABEL

    def _paths(self, day: _Day) -> list[str]:
        folder = uri.column_spelling(uri.normalize(f"{self.landing}/{day.date:%Y/%m/%d}", "source"))
        return [f"{folder}/{number:07}.jpg" for number in day.numbers]

    def _contents(self, numbers: range) -> list[bytes]:
        """Return JPEG files of one length that differ only in their comments."""
        (first,) = digits(1, numbers.start)
        number = b"%08d" % numbers.start
        return [first.replace(number, b"%08d" % other, 1) for other in numbers]

    def _write_landing(self) -> None:
        """Write one file for each day, and a hard link to it for each other image.

        So a million files need little space.
        """
        for day in self._days:
            folder = self.landing / f"{day.date:%Y/%m/%d}"
            folder.mkdir(parents=True)
            first, *others = (folder / f"{number:07}.jpg" for number in day.numbers)
            first.write_bytes(self._contents(day.numbers[:1])[0])
            os.utime(first, (day.noon.timestamp(), day.noon.timestamp()))
            for other in others:
                other.hardlink_to(first)

    def _image_rows(self) -> Iterator[pa.Table]:
        for day in self._days:
            contents = self._contents(day.numbers)
            hashes = pa.array([hashlib.sha256(content).hexdigest() for content in contents])
            self._hashes.append(hashes)
            yield _rows(
                IMAGES,
                len(contents),
                path=self._paths(day),
                content_sha256=hashes,
                source_sha256=hashes,
                content=contents,
                length=len(contents[0]),
                modificationTime=day.noon,
                format="jpeg",
                batch=f"{day.date}",
                load_date=day.date,
                ingested_at=day.noon,
            )

    def _file_rows(self) -> Iterator[pa.Table]:
        source = uri.column_spelling(uri.normalize(str(self.landing), "source"))
        listing = LocalListing(self.landing, DiscoveryCounts())
        for day, hashes in zip(self._days, self._hashes, strict=True):
            file = listing.status(f"{day.date:%Y/%m/%d}/{day.numbers[0]:07}.jpg")
            assert file is not None
            yield _rows(
                FILES,
                len(hashes),
                path=self._paths(day),
                source=source,
                length=file.length,
                modificationTime=day.noon,
                etag=file.etag,
                source_sha256=hashes,
                content_sha256=hashes,
                state=IMAGE,
                folder_label=[1 if self._is_labeled_by_folder(number) else None for number in day.numbers],
                load_date=day.date,
                ingested_at=day.noon,
            )

    def _prediction_rows(self) -> Iterator[pa.Table]:
        random = np.random.default_rng(0)
        for day, hashes in zip(self._days, self._hashes, strict=True):
            scored = pa.array([not self._is_labeled_by_folder(number) for number in day.numbers])
            scores = random.random(len(hashes))
            rows = _rows(
                PREDICTIONS,
                len(hashes),
                path=self._paths(day),
                content_sha256=hashes,
                model_digest=self.champion.digest,
                model_name=self.champion.name,
                model_version=self.champion.version,
                predicted_label=1,
                predicted_score=scores.astype("float32"),
                margin=0.5,
                entropy=0.5,
                scored_at=day.noon,
            ).filter(scored)
            if len(rows):
                yield rows

    def _label_rows(self) -> dict[Table, pa.Table]:
        """Return the rows of people's labels, by table."""
        labeled = [
            (number, path, digest, day.noon)
            for day, hashes in zip(self._days[:-_RECENT_DAYS], self._hashes[:-_RECENT_DAYS], strict=True)
            for number, path, digest in zip(day.numbers, self._paths(day), hashes.to_pylist(), strict=True)
            if number % _IMAGES_PER_LABEL == 0 and not self._is_labeled_by_folder(number)
        ]
        numbers, paths, hashes, times = (list(column) for column in zip(*labeled, strict=True))
        keys = {"path": paths, "content_sha256": hashes, "label": 1}
        return {
            ANNOTATIONS: _rows(
                ANNOTATIONS,
                len(labeled),
                **keys,
                service=DEFAULT_SERVICE,
                annotation_id=[f"earlier-{number}" for number in numbers],
                annotator="",
                annotated_at=times,
            ),
            LABELS: _rows(LABELS, len(labeled), **keys, source=DEFAULT_SERVICE, labeled_at=times),
            LABELING_REQUESTS: _rows(
                LABELING_REQUESTS,
                len(labeled),
                path=paths,
                content_sha256=hashes,
                batch=[f"{labeled_at.date()}" for labeled_at in times],
                service="folder",
                reason=UNCERTAIN,
                model_name=self.champion.name,
                model_version=self.champion.version,
                predicted_label=1,
                predicted_score=0.5,
                requested_at=times,
                outcome=LABELED,
                completed_at=times,
            ),
        }


def _rows(table: Table, count: int, **columns: Any) -> pa.Table:
    """Return rows of a table with its schema.

    Args:
        table: The table.
        count: Number of rows.
        **columns: For each column, a list of values or one value for all rows. Missing columns are null.
    """

    def column(name: str, kind: pa.DataType) -> pa.Array:
        value = columns.get(name)
        if value is None:
            return pa.nulls(count, kind)
        if isinstance(value, list | np.ndarray):
            return pa.array(value, kind)
        return value.cast(kind) if isinstance(value, pa.Array) else pa.repeat(pa.scalar(value, kind), count)

    schema = arrow_schema(table)
    return pa.Table.from_arrays([column(arrow_field.name, arrow_field.type) for arrow_field in schema], schema=schema)


def _combine_days(days: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Combine the rows of days into files of at least 50,000 rows.

    The last file may have fewer rows.
    """
    pending: list[pa.Table] = []
    for rows in days:
        pending.append(rows)
        if sum(map(len, pending)) >= _ROWS_PER_FILE:
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)
