"""List a prefix of an S3 bucket."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from components.ingest_images.discovery.clients import aws_client, client_errors, is_changed, is_missing
from components.ingest_images.discovery.listing import ListedFile
from components.storage import uri
from components.storage.access import Access

_ADVICE = "Check s3_endpoint, s3_access_key and s3_secret_key, or grant s3:ListBucket and s3:GetObject"

_ARCHIVE_ADVICE = "Grant s3:PutObject on the archive and s3:DeleteObject on the source"


@dataclass(frozen=True)
class S3Listing:
    """The objects below a prefix of a bucket.

    Attributes:
        source: Normalized URI, `s3a://bucket/prefix`.
        access: Address and credentials.
        page: Number of keys of a page, 1..1000.
    """

    source: str
    access: Access
    page: int = 1000
    bucket: str = field(init=False)
    prefix: str = field(init=False)

    def __post_init__(self) -> None:
        bucket, prefix = uri.bucket_and_prefix(self.source)
        object.__setattr__(self, "bucket", bucket)
        object.__setattr__(self, "prefix", prefix)

    @cached_property
    def client(self) -> Any:
        """The client, which threads may share."""
        return aws_client("s3", self.access)

    def files(self, start: str = "") -> Iterator[ListedFile]:  # noqa: D102 - described by Listing
        # Each page starts after the last key instead of at a token: a token may expire while a batch is written.
        last = f"{self.prefix}{start}" if start else ""
        while True:
            with self._errors():
                arguments = {"StartAfter": last} if last else {}
                answer = self.client.list_objects_v2(
                    Bucket=self.bucket, Prefix=self.prefix, MaxKeys=self.page, **arguments
                )
            contents = answer.get("Contents", [])
            for found in contents:
                # A key with a slash at its end stands for a folder.
                if not found["Key"].endswith("/"):
                    yield self._file(found["Key"], found["Size"], found)
            if not answer.get("IsTruncated") or not contents:
                return
            last = contents[-1]["Key"]

    def status(self, name: str) -> ListedFile | None:  # noqa: D102
        key = self.prefix + name
        with self._errors():
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if is_missing(error):
                    return None
                raise
        return self._file(key, found["ContentLength"], found)

    def archive(self, file: ListedFile, destination: str) -> bool:  # noqa: D102
        key = self.prefix + file.name
        with client_errors("archive", destination or self.source, _ARCHIVE_ADVICE):
            try:
                if destination:
                    bucket, prefix = uri.bucket_and_prefix(destination)
                    self.client.copy_object(
                        Bucket=bucket,
                        Key=prefix + file.name,
                        CopySource={"Bucket": self.bucket, "Key": key},
                        CopySourceIfMatch=file.etag,
                    )
                # A server without conditional deletes ignores the condition.
                self.client.delete_object(Bucket=self.bucket, Key=key, IfMatch=file.etag)
            except ClientError as error:
                if is_missing(error) or is_changed(error):
                    return False
                raise
        return True

    def _file(self, key: str, length: int, found: dict[str, Any]) -> ListedFile:
        return ListedFile(
            key.removeprefix(self.prefix), length, int(found["LastModified"].timestamp()), found["ETag"].strip('"')
        )

    def _errors(self) -> Any:
        return client_errors("source", self.source, _ADVICE)
