"""The command that uploads pipelines to a server."""

from typing import Annotated

import typer

from pipelines.catalogue import PipelineName
from pipelines.cli import options
from pipelines.cli.terminal import print_if_dry, print_line
from pipelines.deployment.target import Target

_ALL = "all"
_CHOICES = (*PipelineName, _ALL)


def _pipeline_or_all(text: str) -> str:
    if text not in _CHOICES:
        raise typer.BadParameter(f"'{text}' is not one of {', '.join(_CHOICES)}.")
    return text


def upload(
    pipeline: Annotated[
        str,
        typer.Argument(help=f"Pipeline to upload: {', '.join(_CHOICES)}.", parser=_pipeline_or_all, metavar="PIPELINE"),
    ] = _ALL,
    dry_run: options.DryRun = False,
    registry: options.Registry = "",
    tag: options.Tag = "",
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Upload compiled pipelines to a server.

    A pipeline's version is named by a hash of its content. If the server has that version, nothing changes.
    """
    from pipelines.deployment.upload import upload
    from pipelines.parameters import check_defaults

    names = list(PipelineName) if pipeline == _ALL else [PipelineName(pipeline)]
    target = Target(endpoint, namespace, registry, tag)
    with target.compiled(names) as pipelines:
        for name, compiled in pipelines.items():
            check_defaults(name, compiled.path)
        with target.connected() as server:
            for compiled in pipelines.values():
                print_line(f"{compiled.name}: {upload(server, compiled, dry_run)} ({compiled.version})")
    print_if_dry(dry_run)
