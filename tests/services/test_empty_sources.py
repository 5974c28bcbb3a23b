"""Sources that nothing has come to yet: a prefix without objects is empty, a missing bucket is an error."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient
from pyspark.sql import SparkSession

from components.errors import InputError
from components.import_labels.import_annotations import ImportResult, import_into
from components.import_labels.report import write_report as write_import_report
from components.ingest_images.ingest import IngestResult, ingest_folder
from components.ingest_images.report import write_report as write_ingest_report
from components.labeling.sources import open_source
from components.lake import Lake
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from tests.support.lake_stores import S3_FIRST, LakeStore
from tests.support.servers import Azurite
from tests.support.tracking import make_tracking

Import = Callable[[str], ImportResult]
NOTHING_YET = "This source has never contained a "


@pytest.fixture
def bucket(lake_store: LakeStore, spark: SparkSession) -> Iterator[str]:
    """The URI of a new bucket without objects, which Spark and this process have access to."""
    name = f"empty-{uuid.uuid4().hex}"
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in lake_store.environment.items():
            patch.setenv(variable, value)
        lake_store.make_bucket(name)
        hadoop = spark.sparkContext._jsc.hadoopConfiguration()
        for key, value in Files.of(Settings.load()).access.hadoop_configuration().items():
            hadoop.set(key, value)
        yield f"{lake_store.scheme}://{name}"


@pytest.fixture
def files(bucket: str) -> Files:
    """Access to the bucket."""
    return Files.of(Settings.load())


@pytest.fixture
def reader(lake: Lake, files: Files) -> Lake:
    """The empty lake, with access to the bucket."""
    return Lake(lake.spark, lake.root, files)


@pytest.fixture
def import_(lake: Lake, tmp_path: Path, azurite: Azurite) -> Import:
    """A function that imports from an address."""
    registry = ModelRegistry(make_tracking(tmp_path), "model")
    settings = Settings.load(azure_storage_connection_string=azurite.connection_string)
    return lambda address: import_into(lake, registry, open_source(address, settings))


def warns_about_empty_source(write: Callable[[str], None], folder: Path) -> bool:
    """Return whether the report has the warning about an empty source."""
    write(str(folder / "report.html"))
    return NOTHING_YET in (folder / "report.html").read_text()


@pytest.mark.parametrize("lake_store", S3_FIRST, indirect=True)
@pytest.mark.parametrize(("folder", "labeled"), [("", True), ("/landing/2026", False), ("/a,b/{1} [é] *", True)])
def test_landing_prefix_without_objects_is_an_empty_folder(
    reader: Lake, bucket: str, tmp_path: Path, folder: str, labeled: bool
) -> None:
    def run() -> IngestResult:
        return ingest_folder(reader, bucket + folder, labeled=labeled)

    first = run()
    reader.files.write_bytes(uri.join(bucket + folder, "001.ak47", "a.jpg"), b"no image")
    reader.files.write_bytes(f"{bucket}{folder}2/001.ak47/b.jpg" if folder else f"{bucket}/c.txt", b"no image")
    second, third = run(), run()

    assert [each.found for each in (first, second, third)] == [0, 1, 0]
    nothing_yet = [
        warns_about_empty_source(lambda path, each=each: write_ingest_report(each, path), tmp_path)  # type: ignore[misc]
        for each in (first, second, third)
    ]
    assert nothing_yet == [True, False, False]


@pytest.mark.parametrize("lake_store", S3_FIRST, indirect=True)
def test_missing_landing_bucket_raises_an_error(reader: Lake, lake_store: LakeStore) -> None:
    source = f"{lake_store.scheme}://no-such-bucket/landing"

    with pytest.raises(InputError, match=rf"^source: '{source}' not found \((NoSuchBucket|NotFound)\)"):
        ingest_folder(reader, source)


@pytest.mark.parametrize("lake_store", S3_FIRST, indirect=True)
@pytest.mark.parametrize("name", ["annotations", "annotations/from people.csv"])
def test_annotation_prefix_without_objects_is_an_empty_folder(
    bucket: str, files: Files, import_: Import, tmp_path: Path, name: str
) -> None:
    source = f"{bucket}/{name}"

    first = import_(source)
    files.write_bytes(source if name.endswith(".csv") else f"{source}/a.csv", b"path,label\n")
    second = import_(source)
    files.remove_folder(bucket)
    third = import_(source)

    results = (first, second, third)
    assert [(each.files, each.ever_found) for each in results] == [(0, False), (1, True), (0, True)]
    nothing_yet = [
        warns_about_empty_source(lambda path, each=each: write_import_report(each, path), tmp_path)  # type: ignore[misc]
        for each in results
    ]
    assert nothing_yet == [True, False, False]


@pytest.mark.parametrize("lake_store", S3_FIRST, indirect=True)
@pytest.mark.usefixtures("bucket")
def test_missing_annotation_bucket_raises_an_error(lake_store: LakeStore, import_: Import) -> None:
    source = f"{lake_store.scheme}://no-such-bucket/annotations"

    with pytest.raises(InputError, match=rf"^source: '{source}': bucket or container not found"):
        import_(source)


@pytest.mark.parametrize("name", ["annotations", "annotations/from people.csv"])
def test_annotation_container_without_blobs_is_an_empty_folder(
    container: ContainerClient, import_: Import, name: str
) -> None:
    address = f"{container.url}/{name}"

    first = import_(address)
    container.upload_blob(name if name.endswith(".csv") else f"{name}/a.csv", b"path,label\n")
    second = import_(address)

    assert [(each.files, each.ever_found) for each in (first, second)] == [(0, False), (1, True)]


@pytest.mark.parametrize("name", ["nowhere", "nowhere/answers.csv"])
def test_missing_local_source_raises_an_error(import_: Import, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"^source: no file or folder 'file://{tmp_path}/{name}'"):
        import_(str(tmp_path / name))
