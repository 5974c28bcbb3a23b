"""The sample of handwritten digits."""

import csv
import hashlib
import io
import itertools
import re
from pathlib import Path

import pytest
from PIL import Image

from components.errors import InputError
from pipelines.samples.digits import NAMES, make_digits
from pipelines.samples.layout import SampleSummary


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleSummary:
    return make_digits(tmp_path_factory.mktemp("digits") / "sample")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def answers(sample: SampleSummary) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(sample.true_labels.read_text())))


def test_labeled_images_have_the_layout_of_caltech256(sample: SampleSummary) -> None:
    paths = files(sample.labeled_folder)

    assert len(paths) == sample.labeled
    for path in paths:
        match = re.fullmatch(r"(\d{3})\.([a-z]+)/(\d{3})_\d{4}\.jpg", path)
        assert match
        assert match[1] == match[3]
        assert match[2] == NAMES[int(match[1]) - 1]
    assert {path.split("/")[0] for path in paths} == {f"{label:03}.{name}" for label, name in enumerate(NAMES, start=1)}


def test_every_tenth_image_of_each_class_from_the_first_is_held_back(sample: SampleSummary) -> None:
    paths = files(sample.labeled_folder)

    for label, name in enumerate(NAMES, start=1):
        here = {int(Path(path).stem.split("_")[1]) for path in paths if path.startswith(f"{label:03}.{name}/")}
        held_back = [answer for answer in answers(sample) if int(answer["label"]) == label]
        missing = set(range(1, max(here) + 1)) - here
        assert missing == set(range(1, max(here) + 1, 10))
        # The last image of a class may be held back too.
        assert len(held_back) - len(missing) in (0, 1)
    assert sample.labeled + sample.unlabeled == 1797


def test_unlabeled_paths_do_not_reveal_the_class(sample: SampleSummary) -> None:
    paths = files(sample.unlabeled_folder)

    assert len(paths) == sample.unlabeled == 185
    assert all(re.fullmatch(r"digit-\d{4}\.jpg", path) for path in paths)
    # The number does not reveal it either, by its last digit or by its position. Chance is 1 in 10.
    revealed = sum(int(answer["label"]) - 1 == int(Path(answer["path"]).stem[-1]) for answer in answers(sample))
    assert revealed < 0.25 * sample.unlabeled
    neighbors = [answer["label"] for answer in answers(sample)]
    assert sum(a == b for a, b in itertools.pairwise(neighbors)) < 0.25 * sample.unlabeled


def test_answers_name_each_unlabeled_image_once_with_its_true_class(sample: SampleSummary) -> None:
    given = answers(sample)

    assert [answer["path"] for answer in given] == [f"unlabeled/{name}" for name in files(sample.unlabeled_folder)]
    assert all(NAMES[int(answer["label"]) - 1] == answer["name"] for answer in given)
    # Most unlabeled images are nearest to the mean labeled image of their class.
    assert sum(_nearest_class(sample, answer["path"]) == int(answer["label"]) for answer in given) > 0.8 * len(given)


def test_images_are_color_jpegs_and_no_two_are_the_same(sample: SampleSummary) -> None:
    paths = [*sample.labeled_folder.rglob("*.jpg"), *sample.unlabeled_folder.rglob("*.jpg")]

    with Image.open(paths[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == len(paths) == 1797


def test_second_call_writes_nothing(sample: SampleSummary) -> None:
    folder = sample.true_labels.parent
    before = {path: (folder / path).stat().st_mtime_ns for path in files(folder)}

    again = make_digits(folder)

    assert again.written == 0
    assert {path: (folder / path).stat().st_mtime_ns for path in files(folder)} == before


def test_interrupted_call_is_completed_with_the_same_files(sample: SampleSummary, tmp_path: Path) -> None:
    make_digits(tmp_path)
    lost = tmp_path / "labeled" / "001.zero" / "001_0002.jpg"
    lost.unlink()

    again = make_digits(tmp_path)

    assert again.written == 1
    assert files(tmp_path) == files(sample.true_labels.parent)
    assert lost.read_bytes() == (sample.labeled_folder / "001.zero" / "001_0002.jpg").read_bytes()


def test_read_only_folder_raises_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"^to: can't write to '.*file' \(.+\)\. Choose a folder"):
        make_digits(tmp_path / "file")


_MEANS: dict[Path, dict[int, "list[float]"]] = {}


def _pixels(path: Path) -> "list[float]":
    with Image.open(path) as image:
        return [float(value) for value in image.convert("L").resize((8, 8)).tobytes()]


def _nearest_class(sample: SampleSummary, path: str) -> int:
    if sample.true_labels not in _MEANS:
        means = {}
        for label, name in enumerate(NAMES, start=1):
            images = [_pixels(each) for each in (sample.labeled_folder / f"{label:03}.{name}").iterdir()]
            means[label] = [sum(values) / len(images) for values in zip(*images, strict=True)]
        _MEANS[sample.true_labels] = means
    pixels = _pixels(sample.true_labels.parent / path)

    def distance(label: int) -> float:
        return sum((a - b) ** 2 for a, b in zip(_MEANS[sample.true_labels][label], pixels, strict=True))

    return min(_MEANS[sample.true_labels], key=distance)
