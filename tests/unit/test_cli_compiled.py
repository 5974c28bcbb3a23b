"""Names of versions, images of a registry, and the file of recurring runs."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components.container_images import VERSION, ContainerImages
from components.errors import InputError
from pipelines.catalogue import COMPILED, PipelineName
from pipelines.cli import app
from pipelines.deployment.compiled import read_compiled
from pipelines.deployment.schedules import SCHEDULES, load_schedules


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    return Path(shutil.copy(COMPILED / "scoring.yaml", tmp_path))


def test_version_name_is_pipeline_and_hash_of_content() -> None:
    versions = {read_compiled(COMPILED / f"{name}.yaml").version for name in PipelineName}

    assert len(versions) == len(PipelineName)
    for version in versions:
        # Valid as the name of a Kubernetes object.
        assert re.fullmatch(r"image-[a-z]+-[0-9a-f]{12}", version)


def test_version_name_ignores_comments_order_and_sdk(compiled: Path) -> None:
    version = read_compiled(compiled).version
    specification, platform = yaml.safe_load_all(compiled.read_text())
    specification["sdkVersion"] = "kfp-2.17.3"
    reordered = dict(reversed(specification.items()))
    compiled.write_text("# Another comment\n" + yaml.safe_dump_all([reordered, platform], sort_keys=False, width=60))

    assert read_compiled(compiled).version == version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("defaultValue: 0.95", "defaultValue: 0.9"),
        ("description: Folder or Azure", "description: A folder or Azure"),
        # In the platform's document.
        ("activeDeadlineSeconds: '43200'", "activeDeadlineSeconds: '43201'"),
        ("image-pipelines/spark-python:", "registry.example.com/spark-python:"),
    ],
)
def test_version_name_changes_with_content(compiled: Path, old: str, new: str) -> None:
    version = read_compiled(compiled).version
    text = compiled.read_text()
    assert old in text
    compiled.write_text(text.replace(old, new))

    assert read_compiled(compiled).version != version


def test_registry_prefixes_image_names() -> None:
    images = ContainerImages.in_registry("registry.example.com:5000/team", "7")

    assert images.spark_image == "registry.example.com:5000/team/image-pipelines/spark-python:7"
    assert images.trainer_image == "registry.example.com:5000/team/image-pipelines/trainer-python:7-cpu"
    assert images.trainer_gpu_image == "registry.example.com:5000/team/image-pipelines/trainer-python:7-gpu"
    assert ContainerImages.in_registry("localhost", "").spark_image.endswith(f":{VERSION}")


@pytest.mark.parametrize(
    ("registry", "tag"),
    [
        ("https://registry.example.com", ""),
        ("registry.example.com/", ""),
        ("registry.example.com/Team", ""),
        ("registry example", ""),
        ("registry.example.com", "a b"),
        ("registry.example.com", ".7"),
        ("registry.example.com", "a:b"),
        ("registry.example.com", "a" * 125),
    ],
)
def test_malformed_registry_or_tag_is_refused(registry: str, tag: str) -> None:
    field = "tag" if tag else "registry"
    with pytest.raises(InputError, match=rf"^{field}: '.*' (is|can't) .*\."):
        ContainerImages.in_registry(registry, tag)


def test_committed_files_ignore_images_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_SPARK_IMAGE", "registry.example.com/spark:7")

    result = CliRunner().invoke(app, ["compile", "--check"])

    assert re.match(r"--to: .* Give a folder for the compiled files\.$", str(result.exception))
    assert ContainerImages.committed().spark_image == f"image-pipelines/spark-python:{VERSION}"


@pytest.mark.parametrize("options", [["--registry", "registry.example.com"], ["--tag", "7"]])
def test_compiling_for_a_registry_requires_a_folder(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["compile", *options])

    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--to: ")


def test_committed_schedules_cover_each_pipeline_and_run_one_at_a_time() -> None:
    schedules = load_schedules(SCHEDULES)

    assert sorted(each.pipeline for each in schedules) == sorted(PipelineName)
    for schedule in schedules:
        schedule.with_typed_parameters(SCHEDULES)
        assert (schedule.max_concurrency, schedule.no_catchup, schedule.enabled) == (1, True, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("schedules: [", r"not YAML \(.*\)\. Fix the syntax\."),
        ("schedule: []", r"schedule: Extra inputs are not permitted\."),
        ("[]", r"schedules: Input should be a mapping\."),
        ("schedules: [7]", r"schedules\[0\]: Input should be a mapping\."),
        ("schedules: {a: 1}", r"schedules: .*\."),
    ],
)
def test_malformed_schedules_are_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=rf"^{path}: {sentence}$"):
        load_schedules(path)


def test_missing_schedules_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^nowhere\.yaml: can't be read \(No such file or directory\)\. Give another file"
    ):
        load_schedules(Path("nowhere.yaml"))
