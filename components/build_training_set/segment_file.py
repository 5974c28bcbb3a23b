"""Write and merge segments' files, in Spark's workers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.build_training_set.segment_features import copy_features
from components.build_training_set.segment_plan import ROW_GROUP, cut, segment_name
from components.storage import uri
from components.storage.files import Files
from components.training_set.manifest import Segment, SplitName

_SCHEMA = pa.schema(
    [("segment", pa.string()), ("row", pa.int32()), ("content_sha256", pa.string()), ("content", pa.binary())]
)
_IMAGE = ["content_sha256", "content"]
# Rows of a batch that is read. A photograph has megabytes.
_BATCH_ROWS = 16


@dataclass(frozen=True)
class SegmentFolder:
    """The folder of a lake's segments. Spark's workers get a copy of it.

    Attributes:
        uri: URI of the folder.
        features: URI of the folder with the features of frozen backbones.
        files: Access to the files.
    """

    uri: str
    features: str
    files: Files

    def write(self, split: SplitName, name: str, batches: Iterable[pa.RecordBatch]) -> Segment:
        """Write a segment's file. Idempotent.

        Args:
            split: Split of the images.
            name: Name of the segment.
            batches: Columns `content_sha256` and `content` of the images in their order.

        Raises:
            RuntimeError: The name is not the one of these images. No file is written.
        """
        hashes: list[str] = []
        row_groups: list[int] = []
        with self.files.open_replacement(self._file(name)) as file:
            with pq.ParquetWriter(
                file,
                _SCHEMA,
                # Images are compressed already.
                compression="none",
                use_dictionary=["segment"],
                write_statistics=["segment", "row", "content_sha256"],
            ) as writer:
                for group in cut(batches, _lengths, ROW_GROUP):
                    first, rows = len(hashes), len(group)
                    hashes += group["content_sha256"].to_pylist()
                    row_groups.append(rows)
                    columns = {
                        "segment": pa.repeat(name, rows),
                        "row": pa.array(range(first, first + rows), pa.int32()),
                        "content_sha256": group["content_sha256"],
                        "content": group["content"],
                    }
                    writer.write_table(pa.table(columns, _SCHEMA), row_group_size=rows)
            if segment_name(split, hashes) != name:
                raise RuntimeError(
                    f"segment {name}: `images` lacks a content that `files` names; {len(hashes):,} were found. Restore"
                    " the table `images`, or run `image-pipelines requeue` for its source."
                )
            return Segment(name=name, split=split, row_groups=row_groups, bytes=file.tell())

    def merge(self, segments: Sequence[Segment]) -> Segment:
        """Write the rows of segments, in their order, as one segment, and copy the cached features. Idempotent.

        Args:
            segments: Segments of one split.
        """
        split = segments[0].split
        hashes = (row for batch in self._read(segments, ["content_sha256"]) for row in batch[0].to_pylist())
        merged = self.write(split, segment_name(split, hashes), self._read(segments, _IMAGE))
        copy_features(self.files, self.features, segments, merged)
        return merged

    def _read(self, segments: Iterable[Segment], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for segment in segments:
            with self.files.open_file(self._file(segment.name)) as file:
                yield from pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=list(columns))

    def _file(self, name: str) -> str:
        return uri.join(self.uri, f"{name}.parquet")


def _lengths(batch: pa.RecordBatch) -> list[int]:
    lengths: list[int] = pc.binary_length(batch["content"]).to_pylist()
    return lengths
