"""The annotations of exported files, resolved to images that the lake has."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from components.labeling.batches import batch_of_copy, copy_name, digest_of_copy, images_by_copy, resolve_copy
from components.labeling.copy_names import DIGEST_DIGITS
from components.labeling.formats import Annotation, LocatedAnnotation, Rejection, parse
from components.labeling.sources import Export, Source
from components.lake import Lake
from components.lake.tables import LABELING_REQUESTS
from components.spark.frames import frame
from components.storage import uri

UNKNOWN_PATH = "path: the lake has no image with this path. Correct the path, or ingest the image."


@dataclass(frozen=True)
class ExportedAnnotation:
    """An annotation, and the export that contains it.

    Attributes:
        located: The annotation and its place in the export.
        export: The export.
        content_sha256: The content that the person saw; empty until it is looked up.
        label: Class id; None if the image was skipped.
    """

    located: LocatedAnnotation
    export: Export
    content_sha256: str = ""
    label: int | None = None

    @property
    def annotation(self) -> Annotation:
        """The annotation without its place."""
        return self.located.annotation

    @property
    def annotated_at(self) -> datetime:
        """Time of the annotation in UTC, or of its export if the service does not record it."""
        return self.annotation.annotated_at or self.export.modified_at

    @property
    def key(self) -> tuple[str, str]:
        """Service and annotation id."""
        return self.annotation.key(self.annotated_at)


@dataclass
class Reading:
    """The content of the exports that a run reads.

    Attributes:
        annotations: Annotations that can be imported, those of the newest export first.
        rejected: Files and annotations that can't be imported.
        incomplete: Exports that the next run reads again, because it may import what this run rejects.
    """

    annotations: list[ExportedAnnotation] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    incomplete: set[Export] = field(default_factory=set)

    def resolve(self, resolve_one: Callable[[ExportedAnnotation], ExportedAnnotation | Rejection]) -> None:
        """Replace or reject each annotation.

        Args:
            resolve_one: Function that returns the new annotation, or the rejection.
        """
        replaced = [(old.export, resolve_one(old)) for old in self.annotations]
        self.annotations = [new for _, new in replaced if isinstance(new, ExportedAnnotation)]
        self.rejected += [new for _, new in replaced if isinstance(new, Rejection)]
        self.incomplete |= {export for export, new in replaced if isinstance(new, Rejection) and new.retryable}


def read_exports(lake: Lake, source: Source, exports: Iterable[Export]) -> Reading:
    """Read exports, and keep the annotations of images that the lake has.

    Args:
        lake: The lake.
        source: The place of the exports.
        exports: The exports to read, newest first.
    """
    reading = Reading()
    for export in exports:
        try:
            content = source.read(export)
        except FileNotFoundError:
            reading.rejected.append(Rejection(export.name, "The file was deleted before it was read. Export it again."))
            reading.incomplete.add(export)
            continue
        located, rejected = parse(export.name, content)
        reading.annotations += [ExportedAnnotation(annotation, export) for annotation in located]
        reading.rejected += rejected
    if any(exported.located.is_copy for exported in reading.annotations):
        _resolve_copies(lake, reading)
    if reading.annotations:
        _match_images(lake, reading)
    return reading


def _resolve_copies(lake: Lake, reading: Reading) -> None:
    """Replace the paths of exported copies by the paths of their images."""
    addresses = [exported.annotation.path for exported in reading.annotations if exported.located.is_copy]
    # The lake derives the lines of the manifests itself, so it needs no access to the destinations.
    requests = [
        _find_requests(lake, {batch_of_copy(address) for address in addresses} - {""}),
        _find_requests_by_digest(lake, {digest_of_copy(address) for address in addresses} - {""}),
    ]
    requested = {row for each in requests for row in each.select("path", "content_sha256", "batch").collect()}
    images = images_by_copy(
        {"path": row["path"], "batch": row["batch"], "file": copy_name(row["content_sha256"], row["path"])}
        for row in requested
    )

    def resolve(exported: ExportedAnnotation) -> ExportedAnnotation | Rejection:
        if not exported.located.is_copy:
            return exported
        resolved = resolve_copy(exported.located, images)
        return resolved if isinstance(resolved, Rejection) else replace(exported, located=resolved)

    reading.resolve(resolve)


def _match_images(lake: Lake, reading: Reading) -> None:
    """Look up the content of each image, and spell its path like the lake. Reject annotations of unknown images.

    People saw the content of their batch's request. Without a request they saw the current content of the path.
    """
    paths = sorted({uri.column_spelling(exported.annotation.path) for exported in reading.annotations})
    wanted = F.broadcast(frame(lake.spark, [(path,) for path in paths], "path STRING"))
    # Literals, because Delta skips files by literals only.
    in_range = F.col("path").between(F.lit(paths[0]), F.lit(paths[-1]))
    images = lake.current_images().where(in_range).join(wanted, "path", "left_semi")
    current = {row["path"]: row["content_sha256"] for row in images.select("path", "content_sha256").collect()}
    requested: dict[tuple[str, str], str] = {}
    if batches := {exported.annotation.batch for exported in reading.annotations} - {""}:
        requests = _find_requests(lake, batches).join(wanted, "path", "left_semi")
        rows = requests.select("path", "batch", "content_sha256").collect()
        requested = {(row["path"], row["batch"]): row["content_sha256"] for row in rows}

    def match(exported: ExportedAnnotation) -> ExportedAnnotation | Rejection:
        path = uri.column_spelling(exported.annotation.path)
        content_sha256 = requested.get((path, exported.annotation.batch)) or current.get(path)
        if content_sha256 is None:
            return Rejection(exported.located.place, UNKNOWN_PATH, retryable=True)
        annotation = exported.annotation.model_copy(update={"path": path})
        located = LocatedAnnotation(exported.located.place, annotation)
        return replace(exported, located=located, content_sha256=content_sha256)

    reading.resolve(match)


def _find_requests(lake: Lake, batches: Iterable[str]) -> DataFrame:
    """Return the requests of some batches."""
    names = frame(lake.spark, [(batch,) for batch in sorted(batches)], "batch STRING")
    return lake.read(LABELING_REQUESTS).join(F.broadcast(names), "batch", "left_semi")


def _find_requests_by_digest(lake: Lake, digests: Collection[str]) -> DataFrame:
    """Return the requests whose content hashes begin with some digits."""
    requests = lake.read(LABELING_REQUESTS)
    if not digests:
        return requests.limit(0)
    wanted = frame(lake.spark, [(digest,) for digest in sorted(digests)], "_digest STRING")
    by_digest = requests.withColumn("_digest", F.left("content_sha256", F.lit(DIGEST_DIGITS)))
    return by_digest.join(F.broadcast(wanted), "_digest", "left_semi")
