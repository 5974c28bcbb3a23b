"""Audits are drawn at random, and they estimate the accuracy in the field."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from components.build_training_set.build import build_training_set
from components.export_for_labeling.choice import candidates, choose
from components.labeling.requests import AUDIT, CONFLICTING, LABELED, SKIPPED, UNCERTAIN
from components.lake import Lake
from components.lake.tables import CLASSES, LABELING_REQUESTS, LABELS, PEOPLE
from components.parameters import Choice
from components.registry.champion import require_champion
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import ACCURACY_TAG, DIGEST_TAG, TRAINING_SET_URI_TAG
from components.score_images.field_accuracy import Audits, read_field_accuracy
from components.score_images.score import score_lake
from tests.support.lake_rows import append_rows
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.scored_lake import MODEL, insert_images, insert_predictions, jpeg, path, succession
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits

MONDAY = datetime(2026, 5, 4, 12, tzinfo=UTC)
SUNDAY = MONDAY - timedelta(days=1)

# Image number, reason, model version, predicted class id, time of the request, outcome.
Request = tuple[int, str, str, int, datetime, str | None]


def insert_requests(
    lake: Lake, requests: Sequence[Request], model: str = MODEL, content: Callable[[int], bytes] = jpeg
) -> None:
    rows = [
        (
            path(number),
            sha256(content(number)),
            "b1",
            "folder",
            reason,
            model,
            version,
            predicted,
            0.5,
            at,
            outcome,
            None,
        )
        for number, reason, version, predicted, at, outcome in requests
    ]
    append_rows(lake, LABELING_REQUESTS, rows)


def insert_labels(lake: Lake, labels: dict[int, int], content: Callable[[int], bytes] = jpeg) -> None:
    rows = [(path(number), sha256(content(number)), label, "folder", MONDAY) for number, label in labels.items()]
    append_rows(lake, LABELS, rows)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_annotated_audits_are_counted_by_version_and_week(lake: Lake) -> None:
    append_rows(lake, CLASSES, [(1, "a", 3, PEOPLE), (2, "b", None, PEOPLE)])
    insert_requests(
        lake,
        [
            (0, AUDIT, "9", 2, SUNDAY, LABELED),
            (1, AUDIT, "9", 2, MONDAY, LABELED),
            (2, AUDIT, "10", 2, MONDAY, LABELED),
            (3, AUDIT, "10", 2, MONDAY, SKIPPED),
            (4, AUDIT, "10", 2, MONDAY, CONFLICTING),
            (5, AUDIT, "10", 2, MONDAY, None),
            # The predicted class or the label was merged into another class after the request.
            (6, AUDIT, "10", 1, MONDAY, LABELED),
            (7, AUDIT, "10", 3, MONDAY, LABELED),
            # An uncertain image, which is not a random sample of all images.
            (8, UNCERTAIN, "10", 2, MONDAY, LABELED),
        ],
    )
    insert_requests(lake, [(9, AUDIT, "9", 2, MONDAY, LABELED)], model="other")
    insert_labels(lake, {0: 2, 1: 7, 2: 7, 6: 3, 7: 1, 8: 2, 9: 2})
    # A label of the content that replaced image 2.
    insert_labels(lake, {2: 2}, lambda number: b"another content")

    accuracy = read_field_accuracy(lake, MODEL)

    assert accuracy.by_week == {
        ("9", date(2026, 4, 27)): Audits(sent=1, labeled=1, correct=1),
        ("9", date(2026, 5, 4)): Audits(sent=1, labeled=1, correct=0),
        ("10", date(2026, 5, 4)): Audits(sent=6, labeled=3, correct=2),
    }
    assert accuracy.versions() == ["9", "10"]
    assert accuracy.of_version("9") == Audits(sent=2, labeled=2, correct=1)
    assert [week for week, _ in accuracy.weeks("9")] == [date(2026, 4, 27), date(2026, 5, 4)]


def test_larger_audit_fraction_draws_no_image_passed_over_as_uncertain(lake: Lake) -> None:
    old, new = range(40), range(40, 80)
    for numbers, scored_at in ((old, MONDAY - timedelta(days=1)), (new, MONDAY + timedelta(days=1))):
        insert_images(lake, {path(number): jpeg(number) for number in numbers})
        insert_predictions(lake, {path(number): 0.5 if number % 2 else 0.99 for number in numbers}, scored_at=scored_at)
    insert_requests(lake, [(number, UNCERTAIN, "1", 7, MONDAY, None) for number in old if number % 2])
    # A new prediction does not make an old image a new one.
    insert_predictions(lake, {path(0): 0.99}, version="2", scored_at=MONDAY + timedelta(days=2))
    everything = Choice(audit_fraction=1, seed=1)

    audits = (
        choose(candidates(lake, succession("2", "1"), everything, MONDAY + timedelta(days=3)), everything)
        .where("reason = 'audit'")
        .collect()
    )

    assert {row["path"] for row in audits} == {path(number) for number in new}


def test_scoring_report_compares_with_the_training_set_and_the_test_accuracy(lake: Lake, tmp_path: Path) -> None:
    contents = digits(60)

    def content(number: int) -> bytes:
        return contents[number][0]

    insert_images(lake, {f"file:/labeled/{number}.jpg": contents[number][0] for number in range(30)}, label=3)
    insert_images(lake, {path(number): contents[number][0] for number in range(30, 60)})
    training_set = build_training_set(lake).training_set
    tracking = make_tracking(tmp_path)
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), 5))
    registry = ModelRegistry(tracking, "model")
    tags = {DIGEST_TAG: model.digest, TRAINING_SET_URI_TAG: training_set.uri, ACCURACY_TAG: "0.75"}
    registry.set_alias(CHAMPION, registry.create_version(model.run_id, model.model_uri, tags).version)
    insert_requests(lake, [(30, AUDIT, "1", 5, MONDAY, LABELED)], content=content)
    insert_labels(lake, {30: 5}, content)

    first, second = (score_lake(lake, registry, require_champion(registry)) for _ in range(2))

    assert first.scored == 29
    assert first.class_fractions is not None
    assert (dict(first.class_fractions.predicted), dict(first.class_fractions.trained)) == ({5: 29}, {3: 30})
    assert first.class_fractions.diverges
    assert (second.scored, second.class_fractions) == (0, None)
    for result in (first, second):
        assert result.test_accuracy == 0.75
        assert result.field_accuracy.of_version("1") == Audits(sent=1, labeled=1, correct=1)
