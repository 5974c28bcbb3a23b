"""The commands by which people move the champion, and have images scored again."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.deployment import commands
from pipelines.generated import REPOSITORY

if TYPE_CHECKING:
    from components.register_model.registry import ModelRegistry, RegisteredVersion

NO_CHAMPION = "none"
# The component alone: new images are no concern of rescoring.
_SCORE_IMAGES = REPOSITORY / "components" / "score_images" / "component.yaml"

app = typer.Typer()
console = Console()

Reason = Annotated[str, typer.Option(prompt="Why", help="Kept in the version's tags, with your name.")]
Champion = Annotated[
    str,
    typer.Option(
        help="The version that you know to be the champion, or `none`; without it, you are shown which it is, and"
        " asked. If another one is the champion by then, nothing happens."
    ),
]


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="Number of the version, as the MLflow UI lists it.")],
    reason: Reason,
    champion: Champion = "",
) -> None:
    """Make a version of the model the champion."""
    from components.register_model import champion as place
    from components.register_model.registry import ModelRegistry
    from components.settings import Settings

    settings = Settings.load()
    registry = ModelRegistry.open(settings)
    expected = _expected(registry, registry.version(version), champion)
    with place.champion_lock(settings) as check:
        promoted = place.promote(registry, version, expected, reason, getpass.getuser(), check)
    console.print(f"Version {promoted.version} of {promoted.name} is the champion now.", highlight=False)


@app.command()
def rollback(reason: Reason, champion: Champion = "") -> None:
    """Make the version the champion again that was it before; once more, and it is the one before that."""
    from components.register_model import champion as place
    from components.register_model.registry import ModelRegistry
    from components.settings import Settings

    settings = Settings.load()
    registry = ModelRegistry.open(settings)
    expected = _expected(registry, place.previous_champion(registry), champion)
    with place.champion_lock(settings) as check:
        restored = place.roll_back(registry, expected, reason, getpass.getuser(), check)
    console.print(
        f"Version {restored.version} of {restored.name} is the champion again, in place of version {expected}.",
        highlight=False,
    )


@app.command()
def rescore(
    local: Annotated[bool, typer.Option("--local", help="Run on this machine, with kfp.local.")] = False,
    root: Annotated[Path, typer.Option(help="With --local: folder of the run's artifacts and log.")] = Path("runs"),
    experiment: Annotated[str, typer.Option(help="On the server: experiment of the run.")] = "image-pipelines",
    service_account: Annotated[str, typer.Option(help="On the server: account that its tasks run as.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="On the server: wait until the run has ended.")] = False,
    registry: commands.Registry = "",
    tag: commands.Tag = "",
    endpoint: commands.Endpoint = "",
    namespace: commands.Namespace = "",
) -> None:
    """Let the champion score the images without a label that only earlier models scored; what those said is kept.

    On a server, this is a run of the scoring pipeline, with its other tasks.
    """
    if not local:
        target = commands.Target(endpoint, namespace, registry, tag)
        commands.run_on_server("scoring", ["rescore=true"], target, experiment, service_account, wait)
        return
    from pipelines.cli import default_environment
    from pipelines.local_runner import run_compiled
    from pipelines.progress import show_progress

    log = root / "logs" / "rescore.log"
    with show_progress(console, "rescore") as on_event:
        ran = run_compiled(_SCORE_IMAGES, {"rescore": True}, root.resolve(), default_environment(), log, on_event)
    outputs = ran.tasks["score-images"].outputs
    console.print(
        f"Version {outputs['model_version']} scored {outputs['scored']:,} images; {outputs['failed']:,} could not be"
        f" decoded.\nArtifacts: {ran.folder}\nLog: {log}",
        highlight=False,
    )


def _expected(registry: "ModelRegistry", wanted: "RegisteredVersion", champion: str) -> str:
    """Return the version that the person takes for the champion, empty for none: as named, or as shown here."""
    if champion:
        return "" if champion == NO_CHAMPION else champion
    from components.register_model.registry import ACCURACY_TAG, DECIDED_BY_TAG, DECISION_TAG, REASON_TAG

    current = registry.champion()
    table = Table("", "version", "accuracy", "decision", "by", "reason", box=box.SIMPLE_HEAD)
    for role, version in (("champion now", current), ("champion then", wanted)):
        if version is not None:
            said = (version.tags.get(tag, "") for tag in (DECISION_TAG, DECIDED_BY_TAG, REASON_TAG))
            accuracy = version.tags.get(ACCURACY_TAG)
            # Text, because a reason may hold what Rich takes for markup.
            table.add_row(
                role, version.version, f"{float(accuracy):.2%}" if accuracy else "", *(Text(each) for each in said)
            )
    console.print(table)
    typer.confirm("Go on?", abort=True)
    return current.version if current else ""
