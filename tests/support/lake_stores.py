"""The stores that can have a lake in tests. Every suite of lakes passes in each of them.

Azure Data Lake Storage is missing, because it has no emulator.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from tests.support.servers import GcsServer, S3Server


@dataclass(frozen=True)
class LakeStore:
    """A running store.

    Attributes:
        scheme: Scheme of its URIs.
        environment: Environment variables that give access to it.
        make_bucket: Makes a bucket.
    """

    scheme: str
    environment: Mapping[str, str]
    make_bucket: Callable[[str], None]


def _s3(request: pytest.FixtureRequest) -> LakeStore:
    server: S3Server = request.getfixturevalue("s3")
    return LakeStore("s3a", server.environment, server.make_bucket)


def _google(request: pytest.FixtureRequest) -> LakeStore:
    server: GcsServer = request.getfixturevalue("gcs")
    return LakeStore("gs", server.environment, server.make_bucket)


LAKE_STORES: Mapping[str, Callable[[pytest.FixtureRequest], LakeStore]] = MappingProxyType(
    {"s3": _s3, "google": _google}
)
# Parameters of `lake_store` in tests whose subject hardly depends on the store: `make test` runs them on S3 only.
S3_FIRST = tuple(pytest.param(name, marks=() if name == "s3" else pytest.mark.slow) for name in LAKE_STORES)
