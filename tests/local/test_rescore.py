"""Rescoring, as people ask for it: on this machine, by the compiled component."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.lake import Lake
from components.lake.tables import PREDICTIONS
from components.register_model.champion import crown
from components.register_model.registry import DIGEST_TAG, ModelRegistry
from components.score_images.score import require_champion, score_lake
from pipelines.cli import app
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.local.scored_lake import insert_images, path
from tests.local.training_set_factory import digits


def test_the_new_champion_scores_what_the_old_one_has_and_what_that_said_is_kept(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = f"sqlite:///{tmp_path / 'mlflow.db'}"
    registry = ModelRegistry(tracking, "model")
    for label in (3, 5):
        model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), label))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    insert_images(lake, {path(number): content for number, (content, _) in enumerate(digits(3))})
    crown(registry, "1")
    score_lake(lake, registry, require_champion(registry))
    for name, value in {
        "IMAGE_PIPELINES_LAKE": lake.root,
        "IMAGE_PIPELINES_MODEL_NAME": registry.model_name,
        "MLFLOW_TRACKING_URI": tracking,
    }.items():
        monkeypatch.setenv(name, value)

    promoted = CliRunner().invoke(app, ["promote", "2", "--reason", "it is newer", "--champion", "1"])
    rescored = CliRunner().invoke(app, ["rescore", "--local", "--root", str(tmp_path / "runs")])

    assert (promoted.exit_code, rescored.exit_code) == (0, 0), rescored.output
    assert "Version 2 scored 3 images; 0 could not be decoded." in rescored.output
    rows = lake.read(PREDICTIONS).collect()
    assert {(row["path"], row["model_version"], row["predicted_label"]) for row in rows} == {
        (path(number), version, label) for number in range(3) for version, label in (("1", 3), ("2", 5))
    }
    assert len(rows) == 6
