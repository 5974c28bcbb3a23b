"""Help texts of the command line."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from pipelines.cli import app


def commands(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield all commands and groups of a command line, by their path."""
    for name, command in getattr(group, "commands", {}).items():
        yield f"{path}{name}", command
        yield from commands(command, f"{path}{name} ")


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_command_has_a_summary_that_fits_one_line(command: str) -> None:
    summary = str(COMMANDS[command].help).split("\n\n")[0]

    assert summary.endswith(".")
    assert len(summary) <= 85


@pytest.mark.parametrize("command", COMMANDS)
def test_each_parameter_of_a_command_has_a_help_text(command: str) -> None:
    parameters = [each for each in COMMANDS[command].params if each.name != "help"]

    assert [each.name for each in parameters if not getattr(each, "help", None)] == []
