"""Paths in this checkout that tests use."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TRAINER_PYTHON = REPOSITORY / ".venv" / "trainer" / "bin" / "python"
# The folder of the programs that tests run instead of ranks. With it in PYTHONPATH, each program is a top-level module.
RANK_PROGRAMS = REPOSITORY / "tests" / "support" / "ranks"
