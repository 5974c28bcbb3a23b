"""Test that rounds of the whole loop in one process stay as fast and as small as the first ones."""

from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.bench import Bench
from benchmarks.soak import measure

ROUNDS = 40


@pytest.mark.timeout(0)
def test_rounds_of_the_loop_do_not_grow(tmp_path: Path) -> None:
    with closing(Bench(tmp_path)) as bench:
        rows = list(measure(bench, ROUNDS))

    assert [(row.name, row.ratio.median) for row in rows if not row.reached] == []
    assert "round" in (tmp_path / "soak.svg").read_text()
    assert len((tmp_path / "soak.jsonl").read_text().splitlines()) == ROUNDS
