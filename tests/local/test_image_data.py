"""The promises of the view `image_data`."""

from datetime import timedelta

from components.lake import Lake, frame
from components.lake.tables import CLASSES, LABELS
from tests.local.scored_lake import NOW, insert_images, insert_predictions

COLUMNS = [
    *("path", "modificationTime", "length", "content", "label", "load_date"),
    *("predicted_label", "predicted_score", "model_version"),
]


def test_the_view_has_the_best_label_and_the_newest_prediction_of_each_image(lake: Lake) -> None:
    classes = [(1, "dog", None), (2, "dogs", 1), (3, "cat", None)]
    lake.insert_new(CLASSES, frame(lake.spark, classes, CLASSES.columns))
    insert_images(lake, {"file:/person-beats-folder.jpg": b"a", "file:/replaced.jpg": b"b"}, label=2)
    insert_images(lake, {"file:/newest.jpg": b"c", "file:/nothing.jpg": b"d"})
    people = [("file:/person-beats-folder.jpg", 3, "file", NOW)]
    lake.insert_new(LABELS, frame(lake.spark, people, LABELS.columns))
    later, last = NOW + timedelta(days=1), NOW + timedelta(days=2)
    insert_predictions(lake, {"file:/newest.jpg": 0.25}, "9", NOW, label=1)
    insert_predictions(lake, {"file:/newest.jpg": 0.75}, "10", later, label=3)
    insert_predictions(lake, {"file:/newest.jpg": None}, "11", last)

    view = lake.image_data()

    assert view.columns == COLUMNS
    rows = view.select("path", "label", "predicted_label", "predicted_score", "model_version").collect()
    assert {row["path"]: tuple(row)[1:] for row in rows} == {
        "file:/person-beats-folder.jpg": (3, None, None, None),
        "file:/replaced.jpg": (1, None, None, None),
        "file:/newest.jpg": (None, 3, 0.75, "10"),
        "file:/nothing.jpg": (None, None, None, None),
    }
    assert len(rows) == 4
