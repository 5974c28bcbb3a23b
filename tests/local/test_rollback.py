"""Rollbacks take effect at once, and scoring fills the gaps that they leave."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.export_for_labeling.export import export
from components.lake import Lake
from components.lake.tables import PREDICTIONS, PROMOTIONS
from components.parameters import Choice
from components.registry.champion import promote, read_succession, replace_champion, require_champion, roll_back
from components.registry.model_registry import ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.score_images.score import score_lake
from components.score_images.state import advance, begin
from components.settings import Settings
from pipelines.cli import app
from tests.support.saved_model_factory import LoggedModel, constant_classifier, log_classifier
from tests.support.scored_lake import NOW, insert_images, insert_predictions, jpeg, path
from tests.support.tracking import make_tracking

LABELS = (3, 5, 7, 9)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_tracking(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture(scope="module")
def logged(tracking: str, tmp_path_factory: pytest.TempPathFactory) -> list[LoggedModel]:
    """Four models, of which each predicts one class for every image: 3, 5, 7 and 9."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    return [log_classifier(tracking, artifacts, constant_classifier(LABELS, label)) for label in LABELS]


Register = Callable[..., ModelRegistry]


@pytest.fixture
def register(tracking: str, logged: list[LoggedModel], request: pytest.FixtureRequest) -> Register:
    """Return a function that registers a model with one version for each label."""

    def make(name: str = "model", labels: tuple[int, ...] = LABELS) -> ModelRegistry:
        registry = ModelRegistry(tracking, f"{request.node.name}-{name}")
        for label in labels:
            model = logged[LABELS.index(label)]
            registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
        return registry

    return make


def arrive(lake: Lake, *numbers: int) -> None:
    insert_images(lake, {path(number): jpeg(number) for number in numbers})


def score(lake: Lake, registry: ModelRegistry, rescore: bool = False) -> int:
    """Score without the recent images that only predecessors have scored, and return the number."""
    return score_lake(lake, registry, require_champion(registry), rescore, rescore_days=0).scored


def current(lake: Lake, registry: ModelRegistry) -> list[int | None]:
    """Return the currently predicted class of each image, by number."""
    view = lake.image_data(read_succession(registry, registry.champion()))
    return [row["predicted_label"] for row in view.orderBy("path").collect()]


@pytest.fixture
def settings(lake: Lake, tracking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Settings]:
    """Return a function that sets the environment variables for the lake and a model."""

    def load(model_name: str) -> Settings:
        monkeypatch.setenv("IMAGE_PIPELINES_LAKE", lake.root)
        monkeypatch.setenv("IMAGE_PIPELINES_MODEL_NAME", model_name)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
        monkeypatch.setenv("IMAGE_PIPELINES_LABELING_DESTINATION", str(tmp_path / "to label"))
        return Settings.load()

    return load


@pytest.mark.slow
def test_rollback_takes_effect_at_once_and_rescoring_does_not_undo_it(
    lake: Lake, register: Register, settings: Callable[[str], Settings]
) -> None:
    registry = register()
    settings(registry.model_name)
    replace_champion(registry, "1")
    arrive(lake, 0, 1)
    score(lake, registry)
    promoted = CliRunner().invoke(app, ["promote", "2", "--reason", "it is newer", "--champion", "1"])
    arrive(lake, 2)
    assert (score(lake, registry), current(lake, registry)) == (1, [3, 3, 5])
    assert (score(lake, registry, rescore=True), current(lake, registry)) == (2, [5, 5, 5])

    rolled_back = CliRunner().invoke(app, ["rollback", "--reason", "it is worse", "--champion", "2"])

    assert (promoted.exit_code, rolled_back.exit_code) == (0, 0)
    # An image that only the withdrawn version has scored has no prediction until the next scoring run.
    assert current(lake, registry) == [3, 3, None]
    assert (score(lake, registry), current(lake, registry)) == (1, [3, 3, 3])
    assert (score(lake, registry, rescore=True), current(lake, registry)) == (0, [3, 3, 3])
    assert lake.read(PREDICTIONS).count() == 6
    # After another promotion, the version's existing predictions count again.
    replace_champion(registry, "2")
    assert current(lake, registry) == [5, 5, 5]
    assert score(lake, registry, rescore=True) == 0


def test_export_after_a_rollback_uses_the_remaining_predictions(
    lake: Lake, register: Register, settings: Callable[[str], Settings]
) -> None:
    registry = register()
    loaded_settings = settings(registry.model_name)
    replace_champion(registry, "1")
    replace_champion(registry, "2")
    arrive(lake, 0, 1, 2)
    name = registry.model_name
    first, second = (registry.version(version).digest for version in ("1", "2"))
    insert_predictions(lake, {path(0): 0.5, path(1): 0.99}, "1", label=3, model=name, digest=first)
    insert_predictions(lake, {path(0): 0.99, path(1): 0.5, path(2): 0.5}, "2", label=5, model=name, digest=second)
    roll_back(registry, "2", "", "ann")

    result = export(loaded_settings, choice=Choice(fraction=1, audit_fraction=0))

    assert [(image.path, image.name) for batch in result.batches for image in batch.examples] == [(path(0), "3")]
    assert result.candidates == 2


@pytest.mark.slow
def test_two_rollbacks_withdraw_two_versions(lake: Lake, register: Register) -> None:
    registry = register()
    for number, version in enumerate(("1", "2", "3")):
        replace_champion(registry, version)
        arrive(lake, number)
        score(lake, registry)
    assert current(lake, registry) == [3, 5, 7]

    roll_back(registry, "3", "", "ann")
    assert current(lake, registry) == [3, 5, None]
    roll_back(registry, "2", "", "ann")
    assert current(lake, registry) == [3, None, None]

    assert (score(lake, registry), current(lake, registry)) == (2, [3, 3, 3])
    replace_champion(registry, "4")
    assert (score(lake, registry, rescore=True), current(lake, registry)) == (3, [9, 9, 9])


@pytest.mark.slow
def test_images_scored_by_an_older_version_are_scored_by_the_champion(lake: Lake, register: Register) -> None:
    registry = register()
    for number, version in enumerate(("1", "2", "3")):
        replace_champion(registry, version)
        arrive(lake, number)
        score(lake, registry)

    replace_champion(registry, "4")
    arrive(lake, 3)

    assert current(lake, registry) == [None, 5, 7, None]
    assert (score(lake, registry), current(lake, registry)) == (2, [9, 5, 7, 9])


@pytest.mark.slow
def test_run_scores_a_bounded_number_of_old_images_and_the_next_continues(
    lake: Lake, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = register()
    replace_champion(registry, "1")
    replace_champion(registry, "2")
    for number in range(3):
        insert_images(lake, {path(number): jpeg(number)}, ingested_at=NOW - timedelta(days=3 - number))
    score(lake, registry)
    roll_back(registry, "2", "", "ann")
    # One ingest per slice, one slice per run.
    monkeypatch.setattr("components.score_images.score._BYTES_PER_BATCH", 1)
    monkeypatch.setattr("components.score_images.score._SLICES_PER_RUN", 1)

    assert [score(lake, registry) for _ in range(4)] == [1, 1, 1, 0]
    assert current(lake, registry) == [3, 3, 3]


@pytest.mark.slow
def test_models_with_different_names_score_one_lake_independently(lake: Lake, register: Register) -> None:
    first, second = register("first", (3, 7)), register("second", (5, 9))
    replace_champion(first, "1")
    replace_champion(second, "1")
    arrive(lake, 0, 1)

    assert (score(lake, first), score(lake, second)) == (2, 2)
    arrive(lake, 2)
    assert (score(lake, first), score(lake, second)) == (1, 1)
    assert (current(lake, first), current(lake, second)) == ([3] * 3, [5] * 3)

    # Promotion and rollback of one model do not affect the other.
    replace_champion(first, "2")
    assert (score(lake, first, rescore=True), score(lake, second, rescore=True)) == (3, 0)
    roll_back(first, "2", "", "ann")
    assert (current(lake, first), current(lake, second)) == ([3] * 3, [5] * 3)
    assert (score(lake, first), score(lake, second)) == (0, 0)


@pytest.mark.slow
def test_second_run_of_one_succession_does_not_search_the_lake(lake: Lake, register: Register) -> None:
    registry = register()
    replace_champion(registry, "1")
    insert_images(lake, {path(0): jpeg(0)}, ingested_at=NOW - timedelta(days=1))
    score(lake, registry)
    version = lake.version(PREDICTIONS)
    # The image is older than the watermark, so only a search would find that its prediction is missing.
    lake.delta(PREDICTIONS).delete()

    assert score(lake, registry) == 0
    assert lake.version(PREDICTIONS) == version + 1


@pytest.mark.slow
def test_scoring_interrupted_before_a_rollback_leaves_no_image_unscored(lake: Lake, register: Register) -> None:
    registry = register()
    replace_champion(registry, "1")
    insert_images(lake, {path(0): jpeg(0)}, ingested_at=NOW - timedelta(days=2))
    score(lake, registry)
    replace_champion(registry, "2")

    # A run of version 2 that is killed when it has scored an image, before it records that it has finished.
    begin(lake, read_succession(registry, registry.champion()))
    insert_images(lake, {path(1): jpeg(1)}, ingested_at=NOW - timedelta(days=1))
    second = registry.version("2").digest
    insert_predictions(lake, {path(1): 0.5}, "2", label=5, model=registry.model_name, digest=second)
    advance(lake, read_succession(registry, registry.champion()), NOW)
    roll_back(registry, "2", "", "ann")

    assert (score(lake, registry), current(lake, registry)) == (1, [3, 3])


@pytest.mark.slow
def test_table_of_promotions_has_a_row_for_each_champion(lake: Lake, register: Register) -> None:
    registry = register()
    promote(registry, "1", "", "the first", "ann")
    score(lake, registry)
    score(lake, registry)
    promote(registry, "2", "1", "it is newer", "ann")
    score(lake, registry)
    roll_back(registry, "2", "it is worse", "ann")
    score(lake, registry)

    rows = lake.read(PROMOTIONS).orderBy("since").collect()

    assert [(row["model_version"], row["model_digest"], row["reason"]) for row in rows] == [
        ("1", registry.version("1").digest, "the first"),
        ("2", registry.version("2").digest, "it is newer"),
        ("1", registry.version("1").digest, "version 2 was rolled back: it is worse"),
    ]
    assert {row["model_name"] for row in rows} == {registry.model_name}
