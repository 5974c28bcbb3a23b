"""Nothing lost: a step that is killed anywhere and run again leaves what an undisturbed run would have left."""

from pathlib import Path

import pytest

from components.lake import Lake
from tests.local.kill_scenarios import SCENARIOS, Place

# Of the steps that need not be streams, `make test` has the export's own kill tests; each here starts many JVMs.
SLOW = ("export", "import")


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    "step", [pytest.param(step, marks=pytest.mark.slow if step in SLOW else ()) for step in SCENARIOS]
)
def test_a_step_that_is_killed_and_run_again_loses_and_doubles_nothing(step: str, lake: Lake, tmp_path: Path) -> None:
    for name in ("landing", "answers", "work"):
        (tmp_path / name).mkdir()

    SCENARIOS[step](Place(lake, f"file://{tmp_path}", tmp_path / "work", {}))
