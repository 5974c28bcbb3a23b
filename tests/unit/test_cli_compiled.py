"""What a compiled pipeline's version is called, and what it is compiled for."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components.container_images import VERSION, ContainerImages
from components.errors import InputError
from pipelines.cli import app
from pipelines.deployment.compiled import read_compiled
from pipelines.deployment.schedules import SCHEDULES, load_schedules
from pipelines.generated import COMPILED, PIPELINES


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    return Path(shutil.copy(COMPILED / "scoring.yaml", tmp_path))


def test_a_version_is_named_by_its_pipeline_and_content() -> None:
    versions = {read_compiled(COMPILED / f"{name}.yaml").version for name in PIPELINES}

    assert len(versions) == len(PIPELINES)
    for version in versions:
        # Also where versions are objects of Kubernetes.
        assert re.fullmatch(r"image-[a-z]+-[0-9a-f]{12}", version)


def test_neither_comments_nor_order_nor_the_sdk_make_another_version(compiled: Path) -> None:
    version = read_compiled(compiled).version
    specification, platform = yaml.safe_load_all(compiled.read_text())
    specification["sdkVersion"] = "kfp-2.17.3"
    turned = dict(reversed(specification.items()))
    compiled.write_text("# Another comment\n" + yaml.safe_dump_all([turned, platform], sort_keys=False, width=60))

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
def test_what_a_pipeline_does_makes_another_version(compiled: Path, old: str, new: str) -> None:
    version = read_compiled(compiled).version
    text = compiled.read_text()
    assert old in text
    compiled.write_text(text.replace(old, new))

    assert read_compiled(compiled).version != version


def test_images_of_a_registry_keep_their_names() -> None:
    images = ContainerImages.in_registry("registry.example.com:5000/team", "7")

    assert images.spark_image == "registry.example.com:5000/team/image-pipelines/spark-python:7"
    assert images.trainer_image == "registry.example.com:5000/team/image-pipelines/trainer-python:7"
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
    ],
)
def test_what_is_no_registry_or_tag_is_refused(registry: str, tag: str) -> None:
    field = "tag" if tag else "registry"
    with pytest.raises(InputError, match=rf"^{field}: '.*' is .*\."):
        ContainerImages.in_registry(registry, tag)


def test_the_environment_does_not_reach_the_committed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGE_PIPELINES_SPARK_IMAGE", "registry.example.com/spark:7")

    result = CliRunner().invoke(app, ["compile", "--check"])

    assert re.match(r"--to: .* Name another folder to write to\.$", str(result.exception))
    assert ContainerImages.committed().spark_image == f"image-pipelines/spark-python:{VERSION}"


@pytest.mark.parametrize("options", [["--registry", "registry.example.com"], ["--tag", "7"]])
def test_a_registry_needs_a_folder_to_compile_to(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["compile", *options])

    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith("--to: ")


def test_the_committed_recurring_runs_are_one_for_each_pipeline_and_run_one_at_a_time() -> None:
    schedules = load_schedules(SCHEDULES)

    assert sorted(each.pipeline for each in schedules) == sorted(PIPELINES)
    for schedule in schedules:
        schedule.check_parameters(COMPILED / f"{schedule.pipeline}.yaml", SCHEDULES)
        assert (schedule.max_concurrency, schedule.no_catchup, schedule.enabled) == (1, True, True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("schedules: [", r"is no YAML \(.*\)\. Correct it\."),
        ("schedule: []", r"schedule: Extra inputs are not permitted\."),
        ("[]", r"schedules: Input should be a mapping\."),
        ("schedules: [7]", r"schedules\[0\]: Input should be a mapping\."),
        ("schedules: {a: 1}", r"schedules: .*\."),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=rf"^{path}: {sentence}$"):
        load_schedules(path)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(InputError, match=r"^nowhere\.yaml: can't be read \(No such file or directory\)\. Name a file"):
        load_schedules(Path("nowhere.yaml"))
