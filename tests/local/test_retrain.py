"""Counting of new labels until a champion has learned them."""

from pathlib import Path

import pytest

from components.build_training_set.build import build_training_set
from components.import_labels.import_annotations import import_into
from components.labeling.sources import open_source
from components.lake import Lake
from components.lake.tables import CLASSES, FOLDER
from components.register_model.register import Candidate, register_candidate
from components.registry.model_registry import ModelRegistry
from components.settings import Settings
from components.storage.files import Files
from tests.support.lake_rows import append_rows
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.scored_lake import insert_images, jpeg, path
from tests.support.tracking import make_tracking

A_DAY = 5
WANTED = 8


@pytest.mark.slow
def test_new_labels_accumulate_until_a_champion_has_learned_them(lake: Lake, tmp_path: Path) -> None:
    tracking = make_tracking(tmp_path)
    registry = ModelRegistry(tracking, "model")
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((1, 2), 1))
    append_rows(lake, CLASSES, [(1, "a", None, FOLDER), (2, "b", None, FOLDER)])
    insert_images(lake, {f"file:/labeled/{number}.jpg": jpeg(100 + number) for number in range(60)}, label=1)
    insert_images(lake, {path(number): jpeg(number) for number in range(4 * A_DAY)})

    def train(digest: str, promote: bool) -> None:
        training_set = build_training_set(lake).training_set.uri
        champion = registry.champion()
        compared_with = champion.version if champion else ""
        register_candidate(
            registry,
            Candidate(model.run_id, model.model_uri, digest, training_set, 0.9, promote, "", compared_with),
            Files(),
        )

    def annotate(day: int) -> tuple[int, bool]:
        annotations = tmp_path / f"day-{day}.csv"
        rows = [f"{path(number)},2\n" for number in range(A_DAY * day, A_DAY * (day + 1))]
        annotations.write_text("path,label\n" + "".join(rows))
        result = import_into(lake, registry, open_source(str(annotations), Settings.load()), WANTED)
        return result.new_labels, result.retrain

    train("first", promote=True)
    days = [annotate(0), annotate(1)]
    # A challenger that was not promoted learned the ten labels. They still count, but another training would be equal.
    train("second", promote=False)
    days += [annotate(1), annotate(2)]
    train("third", promote=True)
    days.append(annotate(3))

    assert days == [(5, False), (10, True), (10, False), (15, True), (5, False)]
