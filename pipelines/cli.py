"""The command line: `python -m pipelines`, also installed as `image-pipelines`."""

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from components.errors import InputError
from pipelines import models
from pipelines.generated import COMPILED, REPOSITORY

app = typer.Typer(help="Image pipelines on Kubeflow.", no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(models.app)
console = Console()
errors = Console(stderr=True)


class PipelineName(StrEnum):
    """The pipelines."""

    TRAINING = "training"
    SCORING = "scoring"
    LABELING = "labeling"


class SampleName(StrEnum):
    """The sample data sets."""

    DIGITS = "digits"


@app.command("compile")
def compile_(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; fail if a file differs.")] = False,
) -> None:
    """Write the compiled pipelines and components, and the tables in the READMEs."""
    from pipelines import generated

    files = generated.generate()
    changed = generated.differing(files) if check else generated.write(files)
    for path in changed:
        console.print(f"{'differs' if check else 'written'}: {path.relative_to(REPOSITORY)}", highlight=False)
    if check and changed:
        errors.print("The files above are not what the code makes. Run `make generate` and commit them.")
        raise typer.Exit(1)


@app.command()
def run(
    pipeline: PipelineName,
    local: Annotated[bool, typer.Option("--local", help="Run on this machine, with kfp.local.")] = False,
    param: Annotated[list[str] | None, typer.Option(help="Pipeline parameter, as NAME=VALUE; may be repeated.")] = None,
    root: Annotated[Path, typer.Option(help="Folder of the runs' artifacts and logs.")] = Path("runs"),
) -> None:
    """Run a compiled pipeline."""
    from pipelines.local_runner import run_compiled
    from pipelines.progress import show_progress

    if not local:
        raise InputError("run: only runs on this machine are there so far. Add --local.")
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
def sample(name: SampleName, to: Annotated[Path, typer.Option(help="Folder to make it in.")]) -> None:
    """Make a sample data set: labelled images, and images that arrive later."""
    from pipelines.sample import make_digits

    made = make_digits(to)
    console.print(made, highlight=False)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="As in: SELECT label, count(*) FROM image_data GROUP BY label")],
    lake: Annotated[str, typer.Option(help="Root URI of the lake; the settings' by default.")] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Ask the lake: its tables and the view image_data, in SQL."""
    from pipelines.query import print_query

    print_query(sql, lake, csv, console)


def parse_parameters(compiled: Path, pairs: list[str]) -> dict[str, Any]:
    """Return pipeline arguments from NAME=VALUE pairs, each of the type that the pipeline declares.

    Raises:
        InputError: A name is unknown, or a value is not of its type.
    """
    root = next(iter(yaml.safe_load_all(compiled.read_text())))["root"]
    declared = root["inputDefinitions"]["parameters"]
    arguments: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or name not in declared:
            raise InputError(
                f"--param: '{pair}' is not NAME=VALUE with a name out of {', '.join(declared)}. Correct it."
            )
        kind = declared[name]["parameterType"]
        arguments[name] = text if kind == "STRING" else _parse(name, kind, text)
    return arguments


def _parse(name: str, kind: str, text: str) -> Any:
    expected: dict[str, tuple[type, ...]] = {
        "NUMBER_INTEGER": (int,),
        "NUMBER_DOUBLE": (int, float),
        "BOOLEAN": (bool,),
        "STRUCT": (dict,),
        "LIST": (list,),
    }
    try:
        value = json.loads(text.lower() if kind == "BOOLEAN" else text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, expected[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise InputError(f"--param: '{text}' of {name} is not of type {kind}. Write it as JSON.")
    return value


def trainer_python() -> Path:
    """Return the Python of the trainer environment that `make setup` made."""
    return REPOSITORY / ".venv" / "trainer" / "bin" / "python"


def default_environment() -> dict[str, str]:
    """Return the settings of a run on this machine that the shell does not give."""
    defaults = {"IMAGE_PIPELINES_TRAINER_PYTHON": str(trainer_python())}
    return {name: value for name, value in defaults.items() if name not in os.environ}


def main() -> None:
    """Run the command line; bad input ends with its one sentence."""
    from pipelines.local_runner import PipelineFailed

    try:
        app()
    except (InputError, PipelineFailed, TimeoutError) as error:
        errors.print(str(error), style="red", highlight=False, markup=False)
        sys.exit(1)
