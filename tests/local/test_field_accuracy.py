"""Audits: a fair sample of what comes in, and what it says of the models, read from the lake."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from components.build_training_set.build import build_training_set
from components.export_for_labeling.choice import AUDIT, DOUBTFUL, Choice, candidates, choose
from components.import_labels.rule import CONFLICTING, LABELLED, SKIPPED
from components.lake import Lake, frame
from components.lake.tables import CLASSES, LABELING_REQUESTS, LABELS
from components.register_model.registry import (
    ACCURACY_TAG,
    CHAMPION,
    DIGEST_TAG,
    TRAINING_SET_URI_TAG,
    ModelRegistry,
)
from components.score_images.field_accuracy import Audits, read_field_accuracy
from components.score_images.score import require_champion, score_lake
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.local.scored_lake import insert_images, insert_predictions, jpeg, path
from tests.local.training_set_factory import digits

MONDAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
SUNDAY = MONDAY - timedelta(days=1)

# Number of the image, reason, model version, class that it predicted, when it was sent, what became of it.
Request = tuple[int, str, str, int, datetime, str | None]


def insert_requests(lake: Lake, requests: Sequence[Request]) -> None:
    rows = [
        (path(number), "b1", "folder", reason, version, predicted, 0.5, sent_at, outcome, None)
        for number, reason, version, predicted, sent_at, outcome in requests
    ]
    lake.insert_new(LABELING_REQUESTS, frame(lake.spark, rows, LABELING_REQUESTS.columns))


def insert_labels(lake: Lake, labels: dict[int, int]) -> None:
    rows = [(path(number), label, "folder", MONDAY) for number, label in labels.items()]
    lake.insert_new(LABELS, frame(lake.spark, rows, LABELS.columns))


def test_audits_that_people_answered_are_counted_by_version_and_week(lake: Lake) -> None:
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "a", 3), (2, "b", None)], CLASSES.columns))
    insert_requests(
        lake,
        [
            (0, AUDIT, "9", 2, SUNDAY, LABELLED),
            (1, AUDIT, "9", 2, MONDAY, LABELLED),
            (2, AUDIT, "10", 2, MONDAY, LABELLED),
            (3, AUDIT, "10", 2, MONDAY, SKIPPED),
            (4, AUDIT, "10", 2, MONDAY, CONFLICTING),
            (5, AUDIT, "10", 2, MONDAY, None),
            # The class was replaced since, on one side or on the other.
            (6, AUDIT, "10", 1, MONDAY, LABELLED),
            (7, AUDIT, "10", 3, MONDAY, LABELLED),
            # Chosen because the model doubts them: they say nothing of the others.
            (8, DOUBTFUL, "10", 2, MONDAY, LABELLED),
        ],
    )
    insert_labels(lake, {0: 2, 1: 7, 2: 7, 6: 3, 7: 1, 8: 2})

    accuracy = read_field_accuracy(lake)

    assert accuracy.by_week == {
        ("9", date(2026, 4, 27)): Audits(sent=1, answered=1, right=1),
        ("9", date(2026, 5, 4)): Audits(sent=1, answered=1, right=0),
        ("10", date(2026, 5, 4)): Audits(sent=6, answered=3, right=2),
    }
    assert accuracy.versions() == ["9", "10"]
    assert accuracy.of_version("9") == Audits(sent=2, answered=2, right=1)
    assert [week for week, _ in accuracy.weeks("9")] == [date(2026, 4, 27), date(2026, 5, 4)]


def test_a_larger_audit_is_not_drawn_from_what_the_doubtful_were_taken_from(lake: Lake) -> None:
    old, new = range(40), range(40, 80)
    for numbers, scored_at in ((old, MONDAY - timedelta(days=1)), (new, MONDAY + timedelta(days=1))):
        insert_images(lake, {path(number): jpeg(number) for number in numbers})
        insert_predictions(lake, {path(number): 0.5 if number % 2 else 0.99 for number in numbers}, scored_at=scored_at)
    insert_requests(lake, [(number, DOUBTFUL, "1", 7, MONDAY, None) for number in old if number % 2])
    # Scored again, old images are no newer.
    insert_predictions(lake, {path(0): 0.99}, version="2", scored_at=MONDAY + timedelta(days=2))
    everything = Choice(audit_fraction=1, seed=1)

    audits = choose(candidates(lake, everything), everything).where("reason = 'audit'").collect()

    assert {row["path"] for row in audits} == {path(number) for number in new}


def test_a_run_of_scoring_compares_with_the_training_set_and_with_the_test(lake: Lake, tmp_path: Path) -> None:
    contents = digits(60)
    insert_images(lake, {f"file:/labelled/{number}.jpg": contents[number][0] for number in range(30)}, label=3)
    insert_images(lake, {path(number): contents[number][0] for number in range(30, 60)})
    training_set = build_training_set(lake, 1).training_set
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), 5))
    registry = ModelRegistry(tracking, "model")
    tags = {DIGEST_TAG: model.digest, TRAINING_SET_URI_TAG: training_set.uri, ACCURACY_TAG: "0.75"}
    registry.set_alias(CHAMPION, registry.create_version(model.run_id, model.model_uri, tags).version)
    insert_requests(lake, [(30, AUDIT, "1", 5, MONDAY, LABELLED)])
    insert_labels(lake, {30: 5})

    first, second = (score_lake(lake, registry, require_champion(registry)) for _ in range(2))

    assert first.scored == 29
    assert first.class_shares is not None
    assert (dict(first.class_shares.predicted), dict(first.class_shares.trained)) == ({5: 29}, {3: 30})
    assert first.class_shares.part
    assert (second.scored, second.class_shares) == (0, None)
    for result in (first, second):
        assert result.test_accuracy == 0.75
        assert result.field_accuracy.of_version("1") == Audits(sent=1, answered=1, right=1)
