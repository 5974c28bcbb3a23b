"""When there is enough to train again: labels are counted until a champion has learned them."""

from pathlib import Path

from components.build_training_set.build import build_training_set
from components.import_labels.import_answers import import_into
from components.import_labels.sources import open_source
from components.lake import Lake, frame
from components.lake.tables import CLASSES
from components.register_model.register import Candidate, register_candidate
from components.register_model.registry import ModelRegistry
from components.settings import Settings
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.local.scored_lake import insert_images, jpeg, path

A_DAY = 5
WANTED = 8


def test_a_few_labels_a_day_add_up_until_a_champion_has_learned_them(lake: Lake, tmp_path: Path) -> None:
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(tracking, "model")
    model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((1, 2), 1))
    lake.insert_new(CLASSES, frame(lake.spark, [(1, "a", None), (2, "b", None)], CLASSES.columns))
    insert_images(lake, {f"file:/labelled/{number}.jpg": jpeg(100 + number) for number in range(60)}, label=1)
    insert_images(lake, {path(number): jpeg(number) for number in range(4 * A_DAY)})

    def train(digest: str, promote: bool) -> None:
        training_set = build_training_set(lake, 1).training_set.uri
        champion = registry.champion()
        compared_with = champion.version if champion else ""
        register_candidate(
            registry,
            Candidate(model.run_id, model.model_uri, digest, training_set, 0.9, promote, "", compared_with),
        )

    def answer(day: int) -> tuple[int, bool]:
        answers = tmp_path / f"day-{day}.csv"
        rows = [f"{path(number)},2\n" for number in range(A_DAY * day, A_DAY * (day + 1))]
        answers.write_text("path,label\n" + "".join(rows))
        result = import_into(lake, registry, open_source(str(answers), Settings.load()), WANTED)
        return result.new_labels, result.retrain

    train("first", promote=True)
    days = [answer(0), answer(1)]
    # A model that learned ten of them and is no better: they still count, but it would be trained again as it is.
    train("second", promote=False)
    days += [answer(1), answer(2)]
    train("third", promote=True)
    days.append(answer(3))

    assert days == [(5, False), (10, True), (10, False), (15, True), (5, False)]
