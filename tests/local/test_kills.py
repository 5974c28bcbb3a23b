"""A killed step that is run again has the same result as an uninterrupted step."""

from pathlib import Path

import pytest

from components.lake import Lake
from tests.support.kills.scenarios import SCENARIOS, Place


# These start many JVMs. `make test` kills an export and a migration.
@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("step", SCENARIOS)
def test_killed_step_loses_and_duplicates_nothing_when_repeated(step: str, lake: Lake, tmp_path: Path) -> None:
    for name in ("landing", "annotations", "work"):
        (tmp_path / name).mkdir()

    SCENARIOS[step](Place(lake, f"file://{tmp_path}", tmp_path / "work", {}))
