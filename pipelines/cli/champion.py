"""The commands that change the champion."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from pipelines.cli.terminal import console

if TYPE_CHECKING:
    from components.registry.model_registry import ModelRegistry, RegisteredVersion

NO_CHAMPION = "none"

Reason = Annotated[str, typer.Option(prompt="Reason", help="Reason, stored in the version's tags with your user name.")]
Champion = Annotated[
    str,
    typer.Option(
        help="Version that you expect to be the champion, or 'none'. If the champion differs, the command changes"
        " nothing and fails. Without this option, the command shows the champion and asks for confirmation."
    ),
]


def promote(
    version: Annotated[str, typer.Argument(help="Number of the version in the MLflow model registry.")],
    reason: Reason,
    champion: Champion = "",
) -> None:
    """Make a registered version of the model the champion.

    If a rollback withdrew the version before, its predictions count again.
    """
    from components.registry import champion as succession
    from components.registry.model_registry import ModelRegistry
    from components.settings import Settings

    settings = Settings.load()
    registry = ModelRegistry.open(settings)
    expected = _expected_champion(registry, registry.version(version), champion)
    with succession.champion_lock(settings) as check:
        promoted = succession.promote(registry, version, expected, reason, getpass.getuser(), check)
    console.print(f"Version {promoted.version} of {promoted.name} is now the champion.", highlight=False)


def rollback(reason: Reason, champion: Champion = "") -> None:
    """Restore the previous champion.

    The present champion is withdrawn: its predictions stay in the lake, but they do not count until someone promotes
    the version again. The next scoring run scores the images that only withdrawn versions have scored.

    Run the command again to go back by one more champion.
    """
    from components.registry import champion as succession
    from components.registry.model_registry import ModelRegistry
    from components.settings import Settings

    settings = Settings.load()
    registry = ModelRegistry.open(settings)
    expected = _expected_champion(registry, succession.previous_champion(registry), champion)
    with succession.champion_lock(settings) as check:
        restored = succession.roll_back(registry, expected, reason, getpass.getuser(), check)
    console.print(
        f"Version {restored.version} of {restored.name} is the champion again. Version {expected} is withdrawn.",
        highlight=False,
    )


def _expected_champion(registry: "ModelRegistry", successor: "RegisteredVersion", champion: str) -> str:
    """Return the version that the user expects to be the champion; empty for none.

    If the user named no version, show the present champion and its successor, and ask for confirmation.
    """
    if champion:
        return "" if champion == NO_CHAMPION else champion
    from components.registry.tags import ACCURACY_TAG, DECIDED_BY_TAG, DECISION_TAG, REASON_TAG

    present = registry.champion()
    table = Table("", "version", "accuracy", "decision", "by", "reason", box=box.SIMPLE_HEAD)
    for role, version in (("present champion", present), ("new champion", successor)):
        if version is not None:
            decision = (version.tags.get(tag, "") for tag in (DECISION_TAG, DECIDED_BY_TAG, REASON_TAG))
            accuracy = version.tags.get(ACCURACY_TAG)
            # Text, because Rich would read brackets in a reason as markup.
            table.add_row(
                role, version.version, f"{float(accuracy):.2%}" if accuracy else "", *(Text(each) for each in decision)
            )
    console.print(table)
    typer.confirm("Continue?", abort=True)
    return present.version if present else ""
