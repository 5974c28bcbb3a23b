"""The promises of the view `image_data`."""

from datetime import timedelta
from hashlib import sha256

import pytest

from components.lake import Lake
from components.lake.tables import CLASSES, FOLDER, LABELS, NO_CLASS, PREDICTIONS, UNRECORDED
from components.lake.views import attempted
from components.succession import NO_CHAMPION, Succession
from tests.support.lake_rows import append_rows, replace_image
from tests.support.scored_lake import NOW, insert_images, insert_predictions, path, succession

COLUMNS = [
    *("path", "modificationTime", "length", "content", "content_sha256", "label", "load_date"),
    *("predicted_label", "predicted_score", "model_version"),
]
LATER, LAST = NOW + timedelta(days=1), NOW + timedelta(days=2)


def test_view_has_effective_label_and_current_prediction_of_each_image(lake: Lake) -> None:
    classes = [(1, "dog", None, FOLDER), (2, "dogs", 1, FOLDER), (3, "cat", None, FOLDER)]
    classes += [(4, "hounds", 2, FOLDER), (5, "old", NO_CLASS, FOLDER), (6, "older", 5, FOLDER)]
    append_rows(lake, CLASSES, classes)
    insert_images(lake, {"file:/person-beats-folder.jpg": b"a", "file:/replaced.jpg": b"b"}, label=2)
    insert_images(lake, {"file:/scored.jpg": b"c", "file:/nothing.jpg": b"d"})
    insert_images(lake, {"file:/merged-twice.jpg": b"e"}, label=4)
    insert_images(lake, {"file:/retired.jpg": b"f", "file:/retired-by-person.jpg": b"g"}, label=6)
    people = [("file:/person-beats-folder.jpg", sha256(b"a").hexdigest(), 3, "file", NOW)]
    people += [("file:/retired-by-person.jpg", sha256(b"g").hexdigest(), 5, "file", NOW)]
    append_rows(lake, LABELS, people)
    insert_predictions(lake, {"file:/scored.jpg": 0.25}, "9", NOW, label=1)
    insert_predictions(lake, {"file:/scored.jpg": 0.75}, "10", LATER, label=3)
    insert_predictions(lake, {"file:/scored.jpg": None}, "11", LAST)

    view = lake.image_data(succession("11", "10", "9"))

    assert view.columns == COLUMNS
    rows = view.select("path", "label", "predicted_label", "predicted_score", "model_version").collect()
    assert {row["path"]: tuple(row)[1:] for row in rows} == {
        "file:/person-beats-folder.jpg": (3, None, None, None),
        "file:/replaced.jpg": (1, None, None, None),
        "file:/scored.jpg": (None, 3, 0.75, "10"),
        "file:/nothing.jpg": (None, None, None, None),
        "file:/merged-twice.jpg": (1, None, None, None),
        "file:/retired.jpg": (None, None, None, None),
        "file:/retired-by-person.jpg": (None, None, None, None),
    }
    assert len(rows) == 7


def test_predicted_class_that_was_merged_is_the_class_that_counts(lake: Lake) -> None:
    classes = [(1, "dog", None, FOLDER), (2, "dogs", 1, FOLDER), (3, "hounds", 2, FOLDER), (4, "old", NO_CLASS, FOLDER)]
    append_rows(lake, CLASSES, classes)
    insert_images(lake, {path(number): b"%d" % number for number in (1, 3, 4)})
    for number in (1, 3, 4):
        insert_predictions(lake, {path(number): 0.5}, "1", NOW, label=number)

    predicted = {row["path"]: row["predicted_label"] for row in lake.image_data(succession("1")).collect()}

    # A retired class stays: it is what the model saw.
    assert predicted == {path(1): 1, path(3): 1, path(4): 4}


def versions(lake: Lake, of: Succession) -> list[str | None]:
    """Return which version's prediction is the current one of each image, by number."""
    return [row["model_version"] for row in lake.image_data(of).orderBy("path").collect()]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        # The champion's, though the predecessor scored later; the predecessor's where the champion has none.
        (succession("2", "1"), ["2", "1", "1", "2", None]),
        # Rolled back.
        (succession("1"), ["1", "1", "1", None, None]),
        # Promoted again by way of another, which has scored nothing.
        (succession("3", "1", "2"), ["1", "1", "1", "2", None]),
        (succession("1", model="other"), [None, None, None, "1", None]),
        (NO_CHAMPION, [None] * 5),
    ],
    ids=["champion and predecessor", "rolled back", "older before newer", "another model", "no champion"],
)
def test_view_has_predictions_of_the_succession_only(lake: Lake, of: Succession, expected: list[str | None]) -> None:
    insert_images(lake, {path(number): b"%d" % number for number in range(5)})
    insert_predictions(lake, {path(0): 0.5, path(2): None, path(3): 0.5}, "2", NOW)
    insert_predictions(lake, {path(0): 0.5, path(1): 0.5, path(2): 0.5}, "1", LAST)
    insert_predictions(lake, {path(3): 0.5}, "1", LAST, model="other")
    # Without a model, a prediction is nobody's.
    insert_predictions(lake, {path(4): 0.5}, "1", LAST, model=None)

    assert versions(lake, of) == expected


def test_a_version_number_of_another_model_file_does_not_count(lake: Lake) -> None:
    insert_images(lake, {path(0): b"0", path(1): b"1"})
    # MLflow's numbers began again at 1.
    insert_predictions(lake, {path(0): 0.5}, "1", digest="of an earlier database")
    insert_predictions(lake, {path(1): 0.5}, "1")

    assert versions(lake, succession("1")) == [None, "1"]


def test_predictions_without_a_digest_count_by_name_and_version(lake: Lake) -> None:
    insert_images(lake, {path(number): b"%d" % number for number in range(3)})
    insert_predictions(lake, {path(0): 0.5, path(1): None}, "2", digest=UNRECORDED)
    insert_predictions(lake, {path(2): 0.5}, "2", digest=UNRECORDED, model="other")

    assert versions(lake, succession("2")) == ["2", None, None]
    done = attempted(lake.read(PREDICTIONS), succession("2"), by_champion=True)
    assert {row["path"] for row in done.collect()} == {path(0), path(1)}


def test_a_replaced_file_has_neither_label_nor_prediction_of_its_earlier_content(lake: Lake) -> None:
    insert_images(lake, {path(0): b"old"}, label=1)
    append_rows(lake, LABELS, [(path(0), sha256(b"old").hexdigest(), 3, "file", NOW)])
    insert_predictions(lake, {path(0): 0.5})

    replace_image(lake, path(0), b"new", 2)

    (row,) = lake.image_data(succession("1")).collect()
    assert (row["content"], row["label"], row["predicted_label"]) == (b"new", 2, None)


def test_a_file_that_is_restored_is_one_image_with_its_labels_and_predictions(lake: Lake) -> None:
    insert_images(lake, {path(0): b"old"})
    append_rows(lake, LABELS, [(path(0), sha256(b"old").hexdigest(), 3, "file", NOW)])
    insert_predictions(lake, {path(0): 0.5})
    replace_image(lake, path(0), b"new")
    replace_image(lake, path(0), b"old")

    (row,) = lake.image_data(succession("1")).collect()
    assert (row["content"], row["label"], row["predicted_label"]) == (b"old", 3, 7)
