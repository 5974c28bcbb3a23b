"""Find new files by the messages of a queue."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time

from components.errors import InputError
from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.listing import ListedFile, Listing
from components.ingest_images.discovery.messages import PoisonMessageError, new_files
from components.ingest_images.discovery.name_filter import NameFilter
from components.ingest_images.discovery.queues import Message, Queue
from components.lake import Lake
from components.storage import uri

_THREADS = 16
# A message has up to 1 MiB. Poison messages are written before more of them are in memory.
_MAXIMUM_POISON = 100


def poison_folder(root: str, source: str) -> str:
    """Return the URI of the folder with the poison messages of a landing folder. It may not exist.

    Args:
        root: Root URI of the lake.
        source: Normalized URI of the landing folder.
    """
    return uri.join(root, "_messages", uri.digest(source))


@dataclass
class ReceivedFiles:
    """The files of some messages, as they are now.

    Attributes:
        files: Existing files whose names match the glob, each once.
        messages: The messages without their bodies, to delete after the commit.
    """

    files: list[ListedFile] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


@dataclass(frozen=True)
class EventReader:
    """Reads the messages that are in a queue when a run starts.

    A message only names a file. Its metadata is read from the store, so that duplicates and reordered messages do no
    harm. A poison message is set aside: it is stored in the lake, below `_messages`, and deleted from the queue.

    Attributes:
        lake: The lake.
        source: Normalized URI of the landing folder.
        queue: The queue.
        listing: Reads the metadata of the files.
        names: Selects the names of images.
        counts: Receives the counts.
        maximum_files: Number of files after which received files are yielded.
    """

    lake: Lake
    source: str
    queue: Queue
    listing: Listing
    names: NameFilter
    counts: DiscoveryCounts
    maximum_files: int

    def read(self) -> Iterator[ReceivedFiles]:
        """Yield the files of all messages, in groups of bounded size."""
        started = time()
        remaining = self.queue.count()
        is_last = False
        while not is_last:
            names: dict[str, None] = {}
            poison: list[dict[str, str]] = []
            received = ReceivedFiles()
            while max(len(names), len(received.messages)) < self.maximum_files and not is_last:
                page = self.queue.receive()
                # While files keep arriving, the queue may never be empty.
                if remaining is None:
                    is_last = all(message.sent >= started for message in page)
                else:
                    remaining -= len(page)
                    is_last = not page or (remaining <= 0 and len(page) < self.queue.page)
                for message in page:
                    self._read_message(message, names, poison)
                    received.messages.append(message._replace(body=""))
                if len(poison) >= _MAXIMUM_POISON:
                    self._set_aside(poison)
                    poison.clear()
            self._set_aside(poison)
            received.files = self._read_status(sorted(names))
            if received.messages:
                yield received

    def _read_message(self, message: Message, names: dict[str, None], poison: list[dict[str, str]]) -> None:
        try:
            found = new_files(message.body, self.source)
        except PoisonMessageError as error:
            poison.append({"id": message.id, "reason": str(error), "body": message.body})
            return
        self.counts.ignored_messages += not found
        names.update(dict.fromkeys(name for name in found if name not in names and self.names.accepts(name)))

    def _set_aside(self, poison: list[dict[str, str]]) -> None:
        if not poison:
            return
        self.counts.poison_messages += len(poison)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{poison[0]['id']}.jsonl"
        file = uri.join(poison_folder(self.lake.root, self.source), name)
        self.lake.files.write_text(file, "".join(json.dumps(each) + "\n" for each in poison))
        print(
            f"Warning: queue: {len(poison)} messages are no events of '{self.source}', e.g. {poison[0]['reason']}."
            f" They are in '{file}'. Check what sends them.",
            flush=True,
        )

    def _read_status(self, names: list[str]) -> list[ListedFile]:
        """Return the metadata of the files that exist.

        A file that refuses access is returned without metadata: ingest reports it, and reads the others.

        Raises:
            InputError: All files refuse access.
        """
        refused: list[InputError] = []

        def read(name: str) -> ListedFile | None:
            try:
                return self.listing.status(name)
            except InputError as error:
                refused.append(error)
                return ListedFile(name, 0, 0, "")

        with ThreadPoolExecutor(_THREADS) as threads:
            found = [file for file in threads.map(read, names) if file is not None]
        if refused and len(refused) == len(names):
            raise refused[0]
        self.counts.vanished += len(names) - len(found)
        return found
