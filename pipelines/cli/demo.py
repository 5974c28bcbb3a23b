"""The command that runs the demo."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.local_environment import trainer_python


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for everything that the demo writes.")] = Path("demo"),
) -> None:
    """Run the whole loop on handwritten digits: train, score, label, train again.

    Everything runs on this machine, in a few minutes.
    """
    from pipelines.demo import run_demo

    run_demo(folder, trainer_python())
