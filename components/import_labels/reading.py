"""What exports say, as far as the lake knows what they speak of."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import functions as F

from components.export_for_labeling.copies import copy_name
from components.import_labels.copies import images_by_copy, original
from components.import_labels.formats import Answer, Located, Rejected, parse
from components.import_labels.sources import Export, Source
from components.lake import Lake, frame
from components.lake.tables import IMAGES, LABELING_REQUESTS
from components.storage import uri

UNKNOWN_PATH = "the lake has no such image"


@dataclass(frozen=True)
class Said:
    """An answer, and the export that it was read in.

    Attributes:
        located: The answer, and where in the export it is.
        export: The export.
        label: Class id; None if the image was skipped.
    """

    located: Located
    export: Export
    label: int | None = None

    @property
    def answer(self) -> Answer:
        """The answer."""
        return self.located.answer

    @property
    def at(self) -> datetime:
        """When it was said, in UTC: when it was exported, if the service does not tell."""
        return self.answer.annotated_at or self.export.modified_at

    @property
    def key(self) -> tuple[str, str]:
        """Service and annotation id."""
        return self.answer.key(self.at)


@dataclass
class Reading:
    """What was read.

    Attributes:
        said: What makes sense, of the newest export first.
        rejected: What was left out.
        waiting: Exports of which something was left out that the lake may know later.
    """

    said: list[Said] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    waiting: set[Export] = field(default_factory=set)

    def keep(self, judge: Callable[[Said], Said | Rejected]) -> None:
        """Put another answer in place of each, or leave it out."""
        judged = [(each.export, judge(each)) for each in self.said]
        self.said = [found for _, found in judged if isinstance(found, Said)]
        self.rejected += [found for _, found in judged if isinstance(found, Rejected)]
        self.waiting |= {export for export, found in judged if isinstance(found, Rejected) and found.waits}


def read_exports(lake: Lake, source: Source, exports: Iterable[Export]) -> Reading:
    """Read exports, the newest first, and keep what they say of images that the lake has."""
    reading = Reading()
    for export in exports:
        try:
            content = source.read(export)
        except FileNotFoundError:
            reading.rejected.append(Rejected(export.name, "vanished while it was to be read"))
            reading.waiting.add(export)
            continue
        located, rejected = parse(export.name, content)
        reading.said += [Said(each, export) for each in located]
        reading.rejected += rejected
    if any(each.located.is_copy for each in reading.said):
        _find_originals(lake, reading)
    if reading.said:
        _find_images(lake, reading)
    return reading


def _find_originals(lake: Lake, reading: Reading) -> None:
    """Make answers about copies answers about their images."""
    # What the manifests say, of all batches and wherever they went, without reading them back.
    requests = lake.read(LABELING_REQUESTS).select("path", "batch")
    sent = requests.join(lake.read(IMAGES).select("path", "content_sha256"), "path").collect()
    images = images_by_copy(
        {"path": row["path"], "batch": row["batch"], "file": copy_name(row["content_sha256"], row["path"])}
        for row in sent
    )

    def find(said: Said) -> Said | Rejected:
        if not said.located.is_copy:
            return said
        found = original(said.located, images)
        return found if isinstance(found, Rejected) else Said(found, said.export)

    reading.keep(find)


def _find_images(lake: Lake, reading: Reading) -> None:
    """Keep the answers about images that the lake has, with their paths as the lake spells them."""
    paths = {uri.column_spelling(each.answer.path) for each in reading.said}
    wanted = F.broadcast(frame(lake.spark, [(path,) for path in paths], "path STRING"))
    known = {row["path"] for row in lake.read(IMAGES).select("path").join(wanted, "path", "left_semi").collect()}

    def find(said: Said) -> Said | Rejected:
        path = uri.column_spelling(said.answer.path)
        if path not in known:
            return Rejected(said.located.where, UNKNOWN_PATH, waits=True)
        answer = said.answer.model_copy(update={"path": path})
        return Said(Located(said.located.where, answer), said.export)

    reading.keep(find)
