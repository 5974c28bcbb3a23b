"""Test how it is decided whether the folders of a source are classes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from components.ingest_images.labels.pattern import LabelPattern
from components.ingest_images.labels.reader import FolderLabels
from components.ingest_images.source_labels import SourceLabels
from components.parameters import IngestOptions
from components.storage.files import Files

SOURCE = "file:///landing"
CLASSES = ["cats/1.jpg", "cats/2.jpg", "dogs/1.jpg", "dogs/2.jpg"]
DEPTHS = ["cats/1.jpg", "cats/2.jpg", "farm/cats/3.jpg"]
SINGLES = ["a/1.jpg", "b/1.jpg"]
IN_DOUBT = FolderLabels(in_doubt=True)


def run(tmp_path: Path, names: Sequence[str], planned: Sequence[str] = (), **options: str) -> tuple[object, str]:
    """Return the labels of a run's plan, and the doubt.

    Args:
        tmp_path: Root of the lake.
        names: All files of the source.
        planned: Files of the plan, by default all.
        **options: Options of ingest.
    """
    labels = SourceLabels(f"file://{tmp_path}", Files(), SOURCE, IngestOptions.model_validate(options))
    labels.survey(lambda: names)
    return labels.labels(f"file:/landing/{name}" for name in planned or names), labels.doubt


def test_decision_is_made_from_the_whole_source_before_its_first_plan(tmp_path: Path) -> None:
    assert run(tmp_path, DEPTHS, planned=DEPTHS[:2]) == (IN_DOUBT, "its files lie at different depths")


@pytest.mark.parametrize(
    ("names", "labels"), [(CLASSES, FolderLabels(depth=1)), (SINGLES, IN_DOUBT), (DEPTHS, IN_DOUBT)]
)
def test_decision_stays_for_later_deliveries(tmp_path: Path, names: list[str], labels: FolderLabels) -> None:
    first = run(tmp_path, names)
    later = [run(tmp_path, [*names, *new], planned=new) for new in (SINGLES, CLASSES, DEPTHS)]

    assert [each[0] for each in (first, *later)] == [labels] * 4


@pytest.mark.parametrize("names", [[], ["001.ak47/1.jpg", "1.jpg"]])
def test_source_without_doubtful_folders_is_decided_when_they_arrive(tmp_path: Path, names: list[str]) -> None:
    run(tmp_path, names)

    assert run(tmp_path, [*names, *SINGLES], planned=SINGLES)[0] == IN_DOUBT
    assert run(tmp_path, CLASSES)[0] == IN_DOUBT


def test_user_ends_the_doubt_once_and_for_all(tmp_path: Path) -> None:
    run(tmp_path, DEPTHS)

    assert run(tmp_path, DEPTHS, labels="folders") == (FolderLabels(), "")
    assert run(tmp_path, DEPTHS) == (FolderLabels(), "")


def test_pattern_needs_no_decision_and_leaves_none(tmp_path: Path) -> None:
    pattern = r"^(?P<name>\w+)/"

    assert run(tmp_path, SINGLES, label_pattern=pattern) == (LabelPattern(pattern), "")
    assert run(tmp_path, CLASSES) == (FolderLabels(depth=1), "")


def test_source_is_surveyed_once_and_only_as_far_as_needed(tmp_path: Path) -> None:
    read = []

    def names() -> Iterator[str]:
        for name in [*DEPTHS, "never/1.jpg"]:
            read.append(name)
            yield name

    for _ in range(2):
        SourceLabels(f"file://{tmp_path}", Files(), SOURCE, IngestOptions()).survey(names)

    assert read == DEPTHS
