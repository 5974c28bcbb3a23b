"""A killed step that is run again has the same result as an uninterrupted step."""

from pathlib import Path

import pytest

from components.lake import Lake
from tests.support.kills.scenarios import SCENARIOS, Place

# `make test` does not run these, because each starts many JVMs. It kills the export in
# test_export_for_labeling.py.
SLOW = ("score", "export", "import", "build", "maintain")


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.slow if step in SLOW else ()) for step in SCENARIOS]
)
def test_killed_step_loses_and_duplicates_nothing_when_repeated(step: str, lake: Lake, tmp_path: Path) -> None:
    for name in ("landing", "annotations", "work"):
        (tmp_path / name).mkdir()

    SCENARIOS[step](Place(lake, f"file://{tmp_path}", tmp_path / "work", {}))
