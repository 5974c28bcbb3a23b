"""The promises of `pipelines.samples.digits.make_digits`."""

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
    return list(csv.DictReader(io.StringIO(sample.answers.read_text())))


def test_labelled_images_are_laid_out_as_in_caltech256(sample: SampleSummary) -> None:
    paths = files(sample.labelled_folder)

    assert len(paths) == sample.labelled
    for path in paths:
        match = re.fullmatch(r"(\d{3})\.([a-z]+)/(\d{3})_\d{4}\.jpg", path)
        assert match
        assert match[1] == match[3]
        assert match[2] == NAMES[int(match[1]) - 1]
    assert {path.split("/")[0] for path in paths} == {f"{label:03}.{name}" for label, name in enumerate(NAMES, start=1)}


def test_every_tenth_image_of_each_class_is_held_back_the_first_one_among_them(sample: SampleSummary) -> None:
    paths = files(sample.labelled_folder)

    for label, name in enumerate(NAMES, start=1):
        here = {int(Path(path).stem.split("_")[1]) for path in paths if path.startswith(f"{label:03}.{name}/")}
        held_back = [answer for answer in answers(sample) if int(answer["label"]) == label]
        missing = set(range(1, max(here) + 1)) - here
        assert missing == set(range(1, max(here) + 1, 10))
        # The last image of a class may itself be one that is held back.
        assert len(held_back) - len(missing) in (0, 1)
    assert sample.labelled + sample.unlabelled == 1797


def test_no_unlabelled_path_says_which_class_it_is(sample: SampleSummary) -> None:
    paths = files(sample.unlabelled_folder)

    assert len(paths) == sample.unlabelled == 185
    assert all(re.fullmatch(r"digit-\d{4}\.jpg", path) for path in paths)
    # Nor does the number, by its last digit or by where it stands: 1 in 10 is chance.
    told = sum(int(answer["label"]) - 1 == int(Path(answer["path"]).stem[-1]) for answer in answers(sample))
    assert told < 0.25 * sample.unlabelled
    neighbours = [answer["label"] for answer in answers(sample)]
    assert sum(a == b for a, b in itertools.pairwise(neighbours)) < 0.25 * sample.unlabelled


def test_answers_name_each_unlabelled_image_once_with_its_true_class(sample: SampleSummary) -> None:
    given = answers(sample)

    assert [answer["path"] for answer in given] == [f"unlabelled/{name}" for name in files(sample.unlabelled_folder)]
    assert all(NAMES[int(answer["label"]) - 1] == answer["name"] for answer in given)
    # The mean image of a class' labelled folder is nearest to most of its answers' images.
    assert sum(_nearest_class(sample, answer["path"]) == int(answer["label"]) for answer in given) > 0.8 * len(given)


def test_images_are_colour_jpegs_and_no_two_are_the_same(sample: SampleSummary) -> None:
    paths = [*sample.labelled_folder.rglob("*.jpg"), *sample.unlabelled_folder.rglob("*.jpg")]

    with Image.open(paths[0]) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (32, 32))
    assert len({hashlib.sha256(path.read_bytes()).digest() for path in paths}) == len(paths) == 1797


def test_a_second_call_writes_nothing_again(sample: SampleSummary) -> None:
    folder = sample.answers.parent
    before = {path: (folder / path).stat().st_mtime_ns for path in files(folder)}

    again = make_digits(folder)

    assert again.written == 0
    assert {path: (folder / path).stat().st_mtime_ns for path in files(folder)} == before


def test_a_call_that_was_interrupted_is_completed_with_the_same_files(sample: SampleSummary, tmp_path: Path) -> None:
    make_digits(tmp_path)
    lost = tmp_path / "labelled" / "001.zero" / "001_0002.jpg"
    lost.unlink()

    again = make_digits(tmp_path)

    assert again.written == 1
    assert files(tmp_path) == files(sample.answers.parent)
    assert lost.read_bytes() == (sample.labelled_folder / "001.zero" / "001_0002.jpg").read_bytes()


def test_a_place_that_can_not_be_written_to_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match=r"^to: can't write to '.*file' \(.+\)\. Give a folder"):
        make_digits(tmp_path / "file")


_MEANS: dict[Path, dict[int, "list[float]"]] = {}


def _pixels(path: Path) -> "list[float]":
    with Image.open(path) as image:
        return [float(value) for value in image.convert("L").resize((8, 8)).tobytes()]


def _nearest_class(sample: SampleSummary, path: str) -> int:
    if sample.answers not in _MEANS:
        means = {}
        for label, name in enumerate(NAMES, start=1):
            images = [_pixels(each) for each in (sample.labelled_folder / f"{label:03}.{name}").iterdir()]
            means[label] = [sum(values) / len(images) for values in zip(*images, strict=True)]
        _MEANS[sample.answers] = means
    pixels = _pixels(sample.answers.parent / path)

    def distance(label: int) -> float:
        return sum((a - b) ** 2 for a, b in zip(_MEANS[sample.answers][label], pixels, strict=True))

    return min(_MEANS[sample.answers], key=distance)
