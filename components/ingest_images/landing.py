"""The landing folder as a stream of files, and the account of what each batch of it was to read."""

import json
import re
from urllib.parse import unquote

from pyspark.sql import DataFrame, SparkSession

from components.errors import InputError
from components.storage import files, uri

# Spark forgets files older than the newest less this age, and an archive brings years at once.
_UNLIMITED_AGE = "36500d"
# Bounds what a batch keeps on the workers' disks between judging and writing.
_BYTES_PER_BATCH = 2 * 2**30
_SCHEMA = "path STRING, modificationTime TIMESTAMP, length BIGINT, content BINARY"


def any_case(glob: str) -> str:
    """Return a glob that matches what `glob` does, with letters in either case: `*.jpg` finds `A.JPG`."""
    parts = re.split(r"(\[[^\]]*\]|\\.)", glob)
    return "".join(
        part if index % 2 else re.sub(r"[A-Za-z]", lambda match: f"[{match[0].lower()}{match[0].upper()}]", part)
        for index, part in enumerate(parts)
    )


def escape_glob(path: str) -> str:
    r"""Return a glob that matches just the folder `path`: `a[1]` becomes `a\[1\]`."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def open_landing(spark: SparkSession, source: str, glob: str, maximum_bytes: int) -> DataFrame:
    """Return the stream of a folder's files, of at most `maximum_bytes` each; larger ones are not read.

    Raises:
        InputError: There is no such folder.
    """
    if not files.is_folder(source):
        raise InputError(
            f"source: no folder '{source}'. Check the URI, or give the task's identity the right to read it."
        )
    return (
        spark.readStream.format("binaryFile")
        .schema(_SCHEMA)
        .option("recursiveFileLookup", "true")
        .option("pathGlobFilter", any_case(glob))
        .option("maxBytesPerTrigger", _BYTES_PER_BATCH)
        .option("maxFileAge", _UNLIMITED_AGE)
        .option("ignoreMissingFiles", "true")
        .load(escape_glob(source))
        .where(f"length <= {maximum_bytes}")
    )


def batch_paths(checkpoint: str, batch_id: int) -> list[str]:
    """Return the paths that the stream listed for a batch, whether or not they could be read.

    Spark's file source writes them into the checkpoint before it reads the first of them.
    """
    end = _log_offset(checkpoint, batch_id)
    start = _log_offset(checkpoint, batch_id - 1) if batch_id > 0 else -1
    log = uri.join(checkpoint, "sources", "0")
    names = set(files.list_names(log))
    paths = []
    for offset in range(start + 1, end + 1):
        name = f"{offset}.compact" if f"{offset}.compact" in names else str(offset)
        for line in files.read_text(uri.join(log, name)).splitlines()[1:]:
            entry = json.loads(line)
            if entry["batchId"] == offset:
                # The log has it as an encoded URI.
                paths.append(uri.column_spelling(unquote(entry["path"])))
    return paths


def _log_offset(checkpoint: str, batch_id: int) -> int:
    lines = files.read_text(uri.join(checkpoint, "offsets", str(batch_id))).splitlines()
    return int(json.loads(lines[-1])["logOffset"])
