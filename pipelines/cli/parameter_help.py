"""Help of the command `run`, including the parameters of a pipeline."""

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from pipelines.catalogue import PipelineName
from pipelines.cli.terminal import console

_PIPELINE = "image-pipelines.pipeline"


class RunCommand(TyperCommand):
    """The command `run`. `run PIPELINE --help` also lists the parameters of the pipeline."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Store the pipeline, and parse the command line.

        Click prints help before it parses arguments, so the help can't read the parsed pipeline.
        """
        ctx.meta[_PIPELINE] = next((PipelineName(text) for text in args if text in tuple(PipelineName)), None)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help of the command, then the parameters of the pipeline."""
        super().format_help(ctx, formatter)
        if pipeline := ctx.meta.get(_PIPELINE):
            console.print(_parameters(pipeline))


def _parameters(pipeline: PipelineName) -> Table:
    from components.parameters.describe import full_description, summary
    from components.parameters.forms import FORMS, OPTIONS

    table = Table("parameter", title=f"Parameters of {pipeline}", title_justify="left", box=box.SIMPLE)
    table.add_column("meaning", overflow="fold")
    for name, field in FORMS[pipeline].model_fields.items():
        if name not in OPTIONS:
            table.add_row(Text(name), Text(full_description(field)))
    for name in filter(FORMS[pipeline].model_fields.__contains__, OPTIONS):
        table.add_row(Text(name), Text(f"{summary(OPTIONS[name])} A JSON object with the keys:"))
        for key, field in OPTIONS[name].model_fields.items():
            table.add_row(Text(f"  {key}"), Text(full_description(field)))
    return table
