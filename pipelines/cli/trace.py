"""The command that shows the history of an image or of a model version."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import InputError
from pipelines.cli import options
from pipelines.cli.terminal import print_line

if TYPE_CHECKING:
    from components.settings import Settings
    from pipelines.trace.document import Document


def trace(
    path: Annotated[str, typer.Argument(help="Path of the image, as in the table files, or its URI.")] = "",
    model: Annotated[str, typer.Option(help="Version of the model to trace, instead of an image.")] = "",
    html: Annotated[
        Path | None, typer.Option(help="File for an HTML page, which also has the picture. Default: print text.")
    ] = None,
    lake: options.Lake = "",
) -> None:
    """Show the history and state of an image, or of a model version with --model.

    For an image: its arrivals, labels, annotations and predictions, the labeling requests with their copies, the
    training sets and models that used it, and the current label and prediction with their reasons.

    For a model version: its data, code and MLflow run, comparisons, promotions, and predictions by day.

    The command writes nothing into the lake. For an image, MLflow is optional: without it, the output lacks the
    champion and the trainings.
    """
    from components.settings import Settings
    from pipelines.trace.document import as_report, as_text

    if bool(path) == bool(model):
        raise InputError("trace: name one thing to trace. Give the path of an image, or --model with a version.")
    # MLflow's default of 7 retries takes about 4 minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    settings = Settings.load(lake=lake)
    document = _trace_model(settings, model) if model else _trace_image(settings, path)
    if html is None:
        print_line(as_text(document).rstrip("\n"))
    else:
        as_report(document).write(html)
        print_line(document.summary)
        print_line(f"Written: {html}")


def _trace_image(settings: "Settings", path: str) -> "Document":
    from pipelines.quiet_lake import quiet_lake
    from pipelines.trace.describe_image import describe_image
    from pipelines.trace.read_image import read_image

    with quiet_lake(settings) as opened:
        return describe_image(read_image(opened, settings, path))


def _trace_model(settings: "Settings", version: str) -> "Document":
    from pipelines.quiet_lake import quiet_lake
    from pipelines.trace.describe_model import describe_model
    from pipelines.trace.read_model import find_version, read_model

    model, found = find_version(settings, version)
    with quiet_lake(settings) as opened:
        return describe_model(read_model(opened, settings, model, found))
