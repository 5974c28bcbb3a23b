"""The images and features that ranks read from segments with Petastorm."""

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.train_classifier.environment import rank_environment
from components.training_set.manifest import NO_MEMBER, SplitName
from tests.support.paths import TRAINER_PYTHON
from tests.support.training_set_factory import digits, make_training_set

IMAGES = digits(90)
# Row groups of 7 rows in three segments. Every ninth image is no member, and one row group has no members.
TRAIN = [
    (content, NO_MEMBER if number % 9 == 0 or 42 <= number < 49 else label)
    for number, (content, label) in enumerate(IMAGES[:70])
]
MEMBERS = sum(label != NO_MEMBER for _, label in TRAIN)


def run_probe(name: str, *arguments: str) -> str:
    """Run a module of `tests.support.ranks` in the trainer environment, and return its output."""
    finished = subprocess.run(
        [TRAINER_PYTHON, "-m", f"tests.support.ranks.{name}", *arguments],
        env=rank_environment(os.environ),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return finished.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of `feed_probe`."""
    folder = tmp_path_factory.mktemp("feed")
    split = {SplitName.TRAIN: TRAIN, SplitName.VALIDATION: IMAGES[70:80]}
    training_set = make_training_set(folder / "first", split, segments=2, rows=7)
    grown = make_training_set(folder / "grown", {SplitName.TRAIN: IMAGES[80:82]}, earlier=training_set)
    run_probe("feed_probe", training_set.uri, grown.uri, str(folder))
    result: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return result


def test_each_member_occurs_once_in_each_epoch(found: dict[str, Any]) -> None:
    (first, *others) = found["images"]["whole"]

    assert len(set(first)) == len(first) == MEMBERS
    assert all(Counter(epoch) == Counter(first) for epoch in others)


def test_each_member_goes_to_one_of_five_ranks(found: dict[str, Any]) -> None:
    rows = [row for rank in found["images"]["ranks"] for row in rank]

    assert Counter(rows) == Counter(found["images"]["whole"][0])


def test_epochs_have_different_orders(found: dict[str, Any]) -> None:
    assert len({tuple(epoch) for epoch in found["images"]["whole"]}) == len(found["images"]["whole"])


def test_order_is_the_same_after_a_restart(found: dict[str, Any]) -> None:
    assert found["images"]["resumed"] == found["images"]["whole"][2:]


def test_epoch_after_an_interrupted_one_is_complete_and_in_order(found: dict[str, Any]) -> None:
    start, following = found["images"]["interrupted"]

    assert start == found["images"]["whole"][0][:3]
    assert following == found["images"]["whole"][1]


def test_validation_images_have_the_same_order_in_each_epoch(found: dict[str, Any]) -> None:
    first, second = found["images"]["unshuffled"]

    assert first == second


def test_one_reader_reads_all_epochs(found: dict[str, Any]) -> None:
    assert found["images"]["opened"] == 1


def test_features_and_images_have_the_same_order(found: dict[str, Any]) -> None:
    assert max(found["differences"]) < 1e-3


def test_features_are_computed_once(found: dict[str, Any]) -> None:
    # A row group is computed as a whole, whether its rows are members or not. One row group has no members.
    assert found["first"] == len(TRAIN) - 7
    assert found["second"] == 0


def test_damaged_features_are_computed_again(found: dict[str, Any]) -> None:
    assert found["damage"] == {"computed": 14, "restored": True}


def test_only_new_images_are_computed_for_a_grown_training_set(found: dict[str, Any]) -> None:
    assert found["grown"] == 2


def test_ranks_that_share_row_groups_compute_each_image_once(found: dict[str, Any]) -> None:
    assert sorted(found["three ranks"]["computed"]) == [0, 5, 5]
    assert sorted(found["three ranks"]["images"]) == [3, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["images", "features"])
def test_memory_does_not_grow_with_the_number_of_images(kind: str, tmp_path: Path) -> None:
    peaks = []
    for number in (2_000, 20_000):
        images = (IMAGES * (number // len(IMAGES) + 1))[:number]
        training_set = make_training_set(tmp_path / str(number), {SplitName.TRAIN: images}, segments=2)
        features = (tmp_path / f"features-{number}").as_uri()
        peaks.append(float(run_probe("feed_memory_probe", kind, training_set.uri, features)))

    assert peaks[1] < 1.1 * peaks[0]
