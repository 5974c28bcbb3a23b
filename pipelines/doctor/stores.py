"""The folders of the pipelines: whether the steps can list, read and write them."""

from collections.abc import Iterator
from functools import partial

from components.ingest_images.discovery.counts import DiscoveryCounts
from components.ingest_images.discovery.open_listing import open_listing
from components.labeling.sources import open_source
from components.lake.nearby import enclosing_lake, is_lake, nearby_lake
from components.storage import uri
from components.storage.folder import Folder
from components.storage.open_folder import open_folder
from components.storage.overlaps import ARCHIVE
from components.storage.store_folder import StoreFolder
from components.storage.stores import open_store
from pipelines.doctor.context import Context, Place
from pipelines.doctor.finding import Finding, error, guarded, ok, warning
from pipelines.doctor.probe import probe


def check_stores(context: Context) -> Iterator[Finding]:
    """Yield findings about each folder that the settings and the recurring runs name."""
    for place in context.places:
        yield from guarded(partial(_findings, context, place), place.field)


def _findings(context: Context, place: Place) -> Iterator[Finding]:
    if place.kind == "lake":
        yield from lake_folder(context, place)
    elif place.kind == "annotations_source":
        yield from _annotations(context, place)
    elif place.kind in ("labeling_destination", ARCHIVE):
        yield from _destination(context, place)
    else:
        yield from landing_folder(context, place)


def lake_folder(context: Context, place: Place) -> Iterator[Finding]:
    """Yield findings about the folder of the lake, without Spark.

    Args:
        context: The installation.
        place: The folder.
    """
    root = uri.normalize(place.address, place.field)
    context.files.check(root)
    if outer := enclosing_lake(root, context.files):
        yield error(f"{place.field}: '{root}' is inside the lake '{outer}'.", "Give a folder beside it.")
    if is_lake(root, context.files):
        yield ok(f"{place.field}: '{root}' is a lake, and its store responds.")
    elif meant := nearby_lake(root, context.files):
        yield error(f"{place.field}: no lake at '{root}', but there is one at '{meant}'.", "Correct the URI.")
    else:
        yield warning(
            f"{place.field}: no lake at '{root}' yet.",
            "Run the training pipeline, or `image-pipelines lake create`.",
        )
    yield from _probe(context, StoreFolder(place.field, root, context.files.access))


def landing_folder(context: Context, place: Place) -> Iterator[Finding]:
    """Yield findings about a landing folder.

    It reads the first page of the listing, and one byte of a file.

    Args:
        context: The installation.
        place: The folder.
    """
    source = uri.normalize(place.address, place.field)
    access = context.files.access
    first = next(iter(open_listing(source, access, DiscoveryCounts()).files()), None)
    if first is None:
        yield warning(
            f"{place.field}: '{source}' has no files.", "Check the URI. If no file has arrived yet, do nothing."
        )
        return
    with open_store(source, access).open_ranges(uri.join(source, first.name)) as file:
        file.read(1)
    yield ok(f"{place.field}: '{source}' can be listed and read.")


def _annotations(context: Context, place: Place) -> Iterator[Finding]:
    source = open_source(place.address, context.settings)
    listing = source.listing()
    for suffix, others in listing.others.items():
        yield warning(
            f"{place.field}: {others.count} files with the suffix '{suffix}' are not read, e.g. '{others.example}'.",
            "Export annotations in a format of docs/labeling.md, or remove the files.",
        )
    if listing.exports:
        source.read(listing.exports[0])
    yield ok(f"{place.field}: '{source.uri}' can be listed and read, and has {len(listing.exports)} exports.")


def _destination(context: Context, place: Place) -> Iterator[Finding]:
    folder = open_folder(place.address, place.field, context.settings)
    folder.check()
    yield ok(f"{place.field}: '{folder.uri}' responds.")
    yield from _probe(context, folder)


def _probe(context: Context, folder: Folder) -> Iterator[Finding]:
    if not context.write:
        return
    path = uri.local_path(folder.uri)
    if path is not None and not path.exists():
        # Writing a probe would create the folder.
        yield ok(f"{folder.field}: '{folder.uri}' was not written, because the folder does not exist yet.")
    elif isinstance(folder, StoreFolder):
        yield from probe(folder.field, folder.uri, context.files)
    else:
        # The export never deletes blobs, so its access need not include deletion.
        yield ok(f"{folder.field}: '{folder.uri}' was not written, because access to it need not include deletion.")
