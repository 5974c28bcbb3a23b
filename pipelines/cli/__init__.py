"""The command line: `image-pipelines`, or `python -m pipelines`.

Commands import their dependencies when they run, so that `--help` is fast and `promote` does not load Spark.
"""

import sys

import typer

from components.errors import InputError, TransientError
from pipelines.cli import (
    champion,
    classes,
    compile,
    demo,
    doctor,
    features,
    forget,
    labels,
    lake,
    query,
    relabel,
    requeue,
    run,
    sample,
    schedule,
    trace,
    upload,
    weights,
)
from pipelines.cli.parameter_help import RunCommand
from pipelines.cli.terminal import errors
from pipelines.errors import RunFailed

app = typer.Typer(
    help="Train, score and label images with Kubeflow Pipelines.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Markdown, because Typer's other modes keep the line breaks of the docstrings.
    rich_markup_mode="markdown",
)

_PIPELINES = "Pipelines"
app.command(rich_help_panel=_PIPELINES, cls=RunCommand)(run.run)
app.command(rich_help_panel=_PIPELINES)(upload.upload)
app.add_typer(schedule.app, name="schedule", rich_help_panel=_PIPELINES)

_CHAMPION = "Champion"
app.command(rich_help_panel=_CHAMPION)(champion.promote)
app.command(rich_help_panel=_CHAMPION)(champion.rollback)
app.command(rich_help_panel=_CHAMPION)(run.rescore)

_LAKE = "Lake"
app.command(rich_help_panel=_LAKE)(query.query)
app.command(rich_help_panel=_LAKE)(trace.trace)
app.command(rich_help_panel=_LAKE)(requeue.requeue)
app.add_typer(classes.app, name="classes", rich_help_panel=_LAKE)
app.add_typer(labels.app, name="labels", rich_help_panel=_LAKE)
app.command(rich_help_panel=_LAKE)(relabel.relabel)
app.command(rich_help_panel=_LAKE)(forget.forget)
app.add_typer(lake.app, name="lake", rich_help_panel=_LAKE)
app.add_typer(weights.app, name="weights", rich_help_panel=_LAKE)
app.add_typer(features.app, name="features", rich_help_panel=_LAKE)

_INSTALLATION = "Installation"
app.command(rich_help_panel=_INSTALLATION)(doctor.doctor)

_EXAMPLES = "Examples"
app.command(rich_help_panel=_EXAMPLES)(demo.demo)
app.command(rich_help_panel=_EXAMPLES)(sample.sample)

_DEVELOPMENT = "Development"
app.command("compile", rich_help_panel=_DEVELOPMENT)(compile.compile_)


def main() -> None:
    """Run the command line; print an expected error as one line, and exit with 1."""
    try:
        app()
    except (InputError, TransientError, RunFailed, TimeoutError) as error:
        _fail(str(error))
    except Exception as error:
        from components.task import describe, disk_full_sentence, is_disk_full

        if not is_disk_full(error):
            raise
        _fail(disk_full_sentence(describe(error)))


def _fail(sentence: str) -> None:
    errors.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(1)
