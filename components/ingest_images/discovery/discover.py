"""Find the new and changed files of a landing folder."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice

import pyarrow as pa

from components.ingest_images.discovery.archive import Archive, parse_archive
from components.ingest_images.discovery.ascending import Ascending, AscendingNames, DateFolders
from components.ingest_images.discovery.changes import find_changes, split, to_table
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.events import EventReader
from components.ingest_images.discovery.listing import ListedFile, Listing
from components.ingest_images.discovery.name_filter import NameFilter
from components.ingest_images.discovery.open_listing import open_listing, source_path
from components.ingest_images.discovery.open_queue import open_queue
from components.ingest_images.discovery.progress import DiscoveryProgress
from components.ingest_images.discovery.queues import Queue
from components.lake import Lake
from components.parameters.ingest import DiscoveryMode, IngestOptions
from components.storage.access import Access

MAXIMUM_FILES = 50_000
MAXIMUM_BYTES = 2 * 2**30
# About 15 MB in memory, so that the driver needs no spool on disk. One Spark job compares them with `files`.
_CHUNK = 100_000


@dataclass(frozen=True)
class Discovered:
    """New and changed files, at most 50,000 with 2 GiB in total. A larger file comes alone.

    Attributes:
        files: Path, length in bytes, time of the last write in whole seconds, and etag, sorted by path.
        acknowledge: Records that the lake has the files. Call it after the commit. Without it, the files are found
            again by a later run.
        absent_in: A version of the table `files` that has none of the paths; None if that is not known.
    """

    files: pa.Table
    acknowledge: Callable[[], None]
    absent_in: int | None


@dataclass
class Discovery:
    """The new and changed files of a landing folder, found while iterating.

    A file is new if the table `files` does not have its path, and changed if it has another length, modification time
    (in whole seconds) or etag there. No file is too old or too young.

    Attributes:
        lake: The lake, whose table `files` is the memory of earlier runs.
        source: Normalized URI of the landing folder.
        options: Which files are images, and how to find them.
        access: Addresses and credentials.
        counts: Counts of this discovery, complete after the iteration.
        listing: The landing folder.
        queue: The queue of its events; None without one.
    """

    lake: Lake
    source: str
    options: IngestOptions
    access: Access
    counts: DiscoveryCounts = field(default_factory=DiscoveryCounts)
    listing: Listing = field(init=False)
    queue: Queue | None = field(init=False)

    def __post_init__(self) -> None:
        """Open the source and the queue, without contacting them.

        Raises:
            InputError: The glob, the queue or the archive does not suit the source.
        """
        self.listing = open_listing(self.source, self.access, self.counts)
        self.queue = open_queue(self.options.queue, self.source, self.access) if self.options.queue else None
        self._names = NameFilter(self.options.glob, self.counts)
        self._path = source_path(self.source)
        self._archive: Archive | None = None
        if self.options.archive:
            destination = parse_archive(self.options.archive, self.source)
            self._archive = Archive(self.lake, self.listing, self._path, destination)

    def names(self) -> Iterator[str]:
        """Yield the paths of all images below the source, new or not. The counts stay as they are."""
        counts = DiscoveryCounts()
        names = NameFilter(self.options.glob, counts)
        for file in open_listing(self.source, self.access, counts).files():
            if names.accepts(file.name):
                yield file.name

    def __iter__(self) -> Iterator[Discovered]:
        """Yield new and changed files. The caller holds the lock of the source.

        Raises:
            InputError: The folder or queue does not exist, or refuses access.
            TransientError: The store or the queue is unreachable.
        """
        now = datetime.now(UTC)
        progress = DiscoveryProgress.read(self.lake, self.source)
        days = self.options.full_listing_days
        if progress is None or progress.needs_full_listing(self.options.glob, days, now):
            progress = None
        if progress is None or self.queue is None:
            yield from self._list(progress, now)
        if self.queue is not None:
            yield from self._read_events(self.queue)

    def _list(self, progress: DiscoveryProgress | None, now: datetime) -> Iterator[Discovered]:
        """Yield what a listing finds, and write the progress when the lake has all of it.

        Args:
            progress: Where an earlier listing ended; None for a full listing.
            now: The present time.
        """
        is_listing = self.options.discovery == DiscoveryMode.LISTING
        start = progress.start if progress is not None and not is_listing else ""
        if progress is None or not start:
            progress = DiscoveryProgress(source=self.source, glob=self.options.glob, full_listing_at=now)
        self.counts.modes.append("incremental listing" if start else "full listing")
        starts: list[Ascending] = [DateFolders(now.date(), self.options.overlap_days)]
        if self.options.discovery == DiscoveryMode.INCREMENTAL:
            starts.append(AscendingNames())
        accepted = self._accepted(start, starts)
        missing: set[int] = set()
        number = 0
        while (chunk := to_table(islice(accepted, _CHUNK), self._path)).num_rows:
            self.counts.listed += chunk.num_rows
            # Before the new files are ingested: what this run commits is archived by a later one.
            if self._archive is not None:
                self.counts.archived += self._archive.archive(chunk)
            missing.add(number)
            yield from self._changes(chunk, partial(missing.discard, number))
            number += 1
        if not missing:
            next_start = next((found for each in starts if (found := each.start())), start)
            progress.model_copy(update={"start": next_start}).write(self.lake)

    def _accepted(self, start: str, starts: list[Ascending]) -> Iterator[ListedFile]:
        for file in self.listing.files(start):
            if self._names.accepts(file.name):
                for each in starts:
                    each.add(file.name)
                yield file

    def _read_events(self, queue: Queue) -> Iterator[Discovered]:
        self.counts.modes.append("events")
        reader = EventReader(
            self.lake, self.source, queue, self.listing, self._names, self.counts, maximum_files=MAXIMUM_FILES
        )
        for received in reader.read():
            self.counts.listed += len(received.files)
            files = to_table(received.files, self._path)
            yield from self._changes(files, partial(queue.delete, received.messages))

    def _changes(self, found: pa.Table, acknowledge: Callable[[], None]) -> Iterator[Discovered]:
        """Yield the new and changed ones of some files.

        Args:
            found: The files.
            acknowledge: Called when the lake has all of them, at once if there is nothing new.
        """
        changes = find_changes(self.lake, found)
        self.counts.discovered += changes.files.num_rows
        batches = list(split(changes.files, MAXIMUM_FILES, MAXIMUM_BYTES))
        missing = set(range(len(batches)))

        def acknowledge_batch(number: int) -> None:
            missing.discard(number)
            if not missing:
                acknowledge()

        if not batches:
            acknowledge()
        for number, files in enumerate(batches):
            yield Discovered(files, partial(acknowledge_batch, number), changes.absent_in)
