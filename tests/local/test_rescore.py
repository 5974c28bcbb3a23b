"""The command `rescore --local` runs the compiled component on this machine."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.lake import Lake
from components.lake.tables import PREDICTIONS
from components.registry.champion import replace_champion, require_champion
from components.registry.model_registry import ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.score_images.score import score_lake
from pipelines.cli import app
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.scored_lake import insert_images, path
from tests.support.tracking import make_tracking
from tests.support.training_set_factory import digits


@pytest.mark.slow
def test_rescoring_adds_the_new_champions_predictions_and_keeps_the_old(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracking = make_tracking(tmp_path)
    registry = ModelRegistry(tracking, "model")
    for label in (3, 5):
        model = log_classifier(tracking, tmp_path / "artifacts", constant_classifier((3, 5), label))
        registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    insert_images(lake, {path(number): content for number, (content, _) in enumerate(digits(3))})
    replace_champion(registry, "1")
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
