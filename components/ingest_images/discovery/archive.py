"""Move ingested files out of the landing folder."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark.sql import functions as F

from components.errors import InputError
from components.ingest_images.discovery.changes import SCHEMA, existing_rows, is_unchanged
from components.ingest_images.discovery.listing import ListedFile, Listing
from components.lake import Lake
from components.lake.tables import IMAGE
from components.parameters.ingest import DELETE
from components.storage import uri

# Much longer than the 60 s of a lease: a task that has lost its lock may still read the files of its last batch.
_MINIMUM_AGE = timedelta(hours=1)
_THREADS = 16


@dataclass(frozen=True)
class Archive:
    """Takes files away that the lake has.

    Attributes:
        lake: The lake.
        listing: The landing folder.
        source_path: The landing folder, as column `path` of the lake spells it, with a slash at its end.
        destination: Normalized URI of the archive; empty deletes the files.
    """

    lake: Lake
    listing: Listing
    source_path: str
    destination: str

    def archive(self, found: pa.Table) -> int:
        """Move or delete those files that the lake has had for an hour or more, and that have not changed since.

        Quarantined files stay, so that people find them.

        Args:
            found: Files of the landing folder, at most some 100,000.

        Returns:
            The number of files.
        """
        ingested = self._ingested(found)
        with ThreadPoolExecutor(_THREADS) as threads:
            return sum(threads.map(lambda file: self.listing.archive(file, self.destination), ingested))

    def _ingested(self, found: pa.Table) -> list[ListedFile]:
        before = datetime.now(UTC) - _MINIMUM_AGE
        rows = existing_rows(self.lake, found["path"]).where(
            (F.col("state") == IMAGE) & (F.col("ingested_at") < before)
        )
        same = (F.col("found.path") == F.col("existing.path")) & is_unchanged("found", "existing")
        joined = self.lake.spark.createDataFrame(found).alias("found").join(rows.alias("existing"), same, "left_semi")
        return [
            ListedFile(
                row["path"].removeprefix(self.source_path),
                row["length"],
                int(row["modificationTime"].timestamp()),
                row["etag"] or "",
            )
            for row in joined.toArrow().cast(SCHEMA).to_pylist()
        ]


def parse_archive(archive: str, source: str) -> str:
    """Return the normalized URI of an archive; empty for one that deletes files.

    Args:
        archive: Folder, or `delete`.
        source: Normalized URI of the landing folder.

    Raises:
        InputError: The folder is malformed, in another store than the source, or inside it.
    """
    if archive == DELETE:
        return ""
    folder = uri.normalize(archive, "archive")
    if _store(folder) != _store(source):
        raise InputError(f"archive: '{folder}' is not in the store of '{source}'. Give a folder of the same store.")
    if f"{folder}/".startswith(f"{source}/"):
        raise InputError(f"archive: '{folder}' is inside the source '{source}'. Give a folder outside of it.")
    return folder


def _store(folder: str) -> tuple[str, str]:
    """Return the scheme, and the account of Azure."""
    scheme, _, rest = folder.partition("://")
    return scheme, rest.partition("/")[0].partition("@")[2]
