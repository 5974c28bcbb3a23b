"""Keys that S3 refuses, and keys that may only read: each ends a task with one sentence."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from components.errors import InputError
from components.ingest_images.ingest import ingest
from components.lake import Lake
from components.lake.tables import IMAGES
from components.settings import Settings
from components.spark.session import spark_session
from components.storage.files import Files
from tests.support.servers import S3Server
from tests.support.training_set_factory import digits

ROOT = "s3a://credentials"


@pytest.fixture(scope="module")
def lake(s3: S3Server, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    """A lake on S3 with one image. The environment has its settings."""
    locks = tmp_path_factory.mktemp("locks")
    environment = s3.environment | {"IMAGE_PIPELINES_LAKE": f"{ROOT}/lake", "IMAGE_PIPELINES_LOCK": str(locks)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        s3.make_bucket("credentials")
        settings = Settings.load()
        [(content, _)] = digits(1)
        Files.of(settings).write_bytes(f"{ROOT}/landing/a.jpg", content)
        created = Lake.open_or_create(spark_session(settings), settings)
        ingest(settings, f"{ROOT}/landing", labeled=False)
        yield created


@pytest.mark.slow
def test_wrong_key_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_S3_SECRET_KEY", "wrong")

    with pytest.raises(
        InputError, match=r"^'s3a://credentials.*': access is refused\. Check s3_endpoint, s3_access_key"
    ):
        ingest(Settings.load(), f"{ROOT}/landing", labeled=False)


@pytest.mark.slow
def test_read_only_lake_is_named(lake: Lake, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    before = lake.version(IMAGES)
    monkeypatch.setenv("IMAGE_PIPELINES_S3_ACCESS_KEY", s3.reader_access_key)
    monkeypatch.setenv("IMAGE_PIPELINES_S3_SECRET_KEY", s3.reader_secret_key)

    with pytest.raises(
        InputError, match=r"^'s3a://credentials/lake/_status/writable': access is refused\. .* write access"
    ):
        ingest(Settings.load(), f"{ROOT}/landing", labeled=False)
    assert lake.version(IMAGES) == before


@pytest.mark.slow
def test_spark_configuration_shows_no_keys(lake: Lake, s3: S3Server) -> None:
    shown = str(lake.spark.sparkContext.getConf().getAll()) + str(lake.spark.conf.getAll)

    assert s3.url not in shown
    assert s3.secret_key not in shown
