"""The command line: `python -m pipelines`, also installed as `image-pipelines`."""

import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from components.container_images import ContainerImages
from components.errors import InputError
from components.ingest_images.labels import DEFAULT_LABEL_PATTERN
from components.ingest_images.limits import Limits
from pipelines import models
from pipelines.deployment import commands
from pipelines.generated import COMPILED, REPOSITORY

app = typer.Typer(help="Image pipelines on Kubeflow.", no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(commands.schedule_app, name="schedule")
app.add_typer(models.app)
console = Console()
errors = Console(stderr=True)


class PipelineName(StrEnum):
    """The pipelines."""

    TRAINING = "training"
    SCORING = "scoring"
    LABELING = "labeling"


class Uploadable(StrEnum):
    """The pipelines, and all of them."""

    TRAINING = "training"
    SCORING = "scoring"
    LABELING = "labeling"
    ALL = "all"


class SampleName(StrEnum):
    """The sample data sets."""

    DIGITS = "digits"
    CALTECH256 = "caltech256"


@app.command("compile")
def compile_(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file differs.")] = False,
    to: Annotated[
        Path | None, typer.Option(help="Folder for the compiled files, instead of the committed ones.")
    ] = None,
    registry: Annotated[str, typer.Option(help="With --to: registry of the images, as in example.com/team.")] = "",
    tag: Annotated[str, typer.Option(help="With --registry: their tag; this version's if empty.")] = "",
) -> None:
    """Write the compiled pipelines and components, and the tables in the READMEs."""
    from pipelines import generated
    from pipelines.deployment.compiled import compile_to

    if to is not None:
        compile_to(to, registry, tag)
        return
    if registry or tag or ContainerImages() != ContainerImages.committed():
        raise InputError("--to: the committed files name images without a registry. Name another folder to write to.")
    files = generated.generate()
    changed = generated.differing(files) if check else generated.write(files)
    for path in changed:
        console.print(f"{'differs' if check else 'written'}: {path.relative_to(REPOSITORY)}", highlight=False)
    if check and changed:
        errors.print("The files above are not what the code makes. Run `make generate` and commit them.")
        raise typer.Exit(1)


@app.command()
def upload(
    pipeline: Annotated[Uploadable, typer.Argument(help="Which pipeline.")] = Uploadable.ALL,
    dry_run: commands.DryRun = False,
    registry: commands.Registry = "",
    tag: commands.Tag = "",
    endpoint: commands.Endpoint = "",
    namespace: commands.Namespace = "",
) -> None:
    """Upload compiled pipelines; one whose content the server has already is left as it is."""
    names = [each.value for each in PipelineName] if pipeline is Uploadable.ALL else [pipeline.value]
    commands.upload_pipelines(names, commands.Target(endpoint, namespace, registry, tag), dry_run)


@app.command()
def run(
    pipeline: PipelineName,
    local: Annotated[bool, typer.Option("--local", help="Run on this machine, with kfp.local.")] = False,
    param: Annotated[list[str] | None, typer.Option(help="Pipeline parameter, as NAME=VALUE; may be repeated.")] = None,
    root: Annotated[Path, typer.Option(help="With --local: folder of the runs' artifacts and logs.")] = Path("runs"),
    experiment: Annotated[str, typer.Option(help="On the server: experiment of the run.")] = "image-pipelines",
    service_account: Annotated[str, typer.Option(help="On the server: account that its tasks run as.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="On the server: wait until the run has ended.")] = False,
    registry: commands.Registry = "",
    tag: commands.Tag = "",
    endpoint: commands.Endpoint = "",
    namespace: commands.Namespace = "",
) -> None:
    """Run a compiled pipeline, on a server or, with --local, on this machine."""
    if not local:
        commands.run_on_server(
            pipeline.value,
            param or [],
            commands.Target(endpoint, namespace, registry, tag),
            experiment,
            service_account,
            wait,
        )
        return
    from pipelines.local_runner import run_compiled
    from pipelines.parameters import parse_parameters
    from pipelines.progress import show_progress

    compiled = COMPILED / f"{pipeline}.yaml"
    arguments = parse_parameters(compiled, param or [])
    log = root / "logs" / f"{pipeline}.log"
    with show_progress(console, pipeline.value) as on_event:
        result = run_compiled(compiled, arguments, root.resolve(), default_environment(), log, on_event)
    console.print(f"Artifacts: {result.folder}\nLog: {log}", highlight=False)


@app.command()
def demo(folder: Annotated[Path, typer.Option(help="Where the demo keeps all that it makes.")] = Path("demo")) -> None:
    """Go once around the whole loop on handwritten digits."""
    from pipelines.demo import run_demo

    run_demo(folder, trainer_python())


@app.command()
def sample(
    name: SampleName,
    to: Annotated[Path, typer.Option(help="Folder to make it in.")],
    url: Annotated[str, typer.Option(help="caltech256: a mirror of its archive, which must be a true copy.")] = "",
) -> None:
    """Make a sample data set: labelled images, and images that arrive later."""
    if name is SampleName.DIGITS:
        from pipelines.samples.digits import make_digits

        if url:
            raise InputError("--url: the digits are not downloaded. Leave it out.")
        made = make_digits(to)
    else:
        from pipelines.samples.caltech256 import ARCHIVE, make_caltech256

        made = make_caltech256(to, console, replace(ARCHIVE, url=url) if url else ARCHIVE)
    console.print(made, highlight=False)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="As in: SELECT label, count(*) FROM image_data GROUP BY label")],
    lake: Annotated[str, typer.Option(help="Root URI of the lake; the settings' by default.")] = "",
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print comma-separated values; a text that a spreadsheet would run gets a ' before it."
        ),
    ] = False,
) -> None:
    """Ask the lake: its tables and the view image_data, in SQL."""
    from pipelines.query import print_query

    print_query(sql, lake, csv, console)


@app.command()
def requeue(
    path: Annotated[list[str], typer.Argument(help="Files, as the table quarantine spells them.")],
    lake: Annotated[str, typer.Option(help="Root URI of the lake; the settings' by default.")] = "",
    labelled: Annotated[
        bool | None,
        typer.Option(
            "--labelled/--unlabelled", help="Whether folders name classes; by default, as the settings' sources say."
        ),
    ] = None,
    label_pattern: Annotated[str, typer.Option(help="The class' number in a folder's name.")] = DEFAULT_LABEL_PATTERN,
    max_bytes: Annotated[int, typer.Option(min=1, help="Length that a file may have.")] = Limits.bytes,
    max_pixels: Annotated[int, typer.Option(min=1, help="Width times height that an image may have.")] = Limits.pixels,
) -> None:
    """Judge files again, and move those that are good by now from quarantine to the images."""
    from pipelines.requeue import print_requeued

    print_requeued(console, path, lake, labelled, label_pattern, Limits(bytes=max_bytes, pixels=max_pixels))


def trainer_python() -> Path:
    """Return the Python of the trainer environment that `make setup` made."""
    return REPOSITORY / ".venv" / "trainer" / "bin" / "python"


def default_environment() -> dict[str, str]:
    """Return the settings of a run on this machine that the shell does not give."""
    defaults = {"IMAGE_PIPELINES_TRAINER_PYTHON": str(trainer_python())}
    return {name: value for name, value in defaults.items() if name not in os.environ}


def main() -> None:
    """Run the command line; bad input ends with its one sentence."""
    from pipelines.deployment.runs import RunFailed
    from pipelines.local_runner import PipelineFailed

    try:
        app()
    except (InputError, PipelineFailed, RunFailed, TimeoutError) as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        sys.exit(1)
