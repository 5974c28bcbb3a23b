"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.query import output

Endpoint = Annotated[
    str,
    typer.Option(
        help="URL of the Kubeflow Pipelines server, e.g. http://localhost:8080. Default: KF_PIPELINES_ENDPOINT, or else"
        " the cluster of your kubeconfig."
    ),
]
Namespace = Annotated[
    str, typer.Option(help="Your namespace, if the server has several users. Default: KF_PIPELINES_NAMESPACE.")
]
Registry = Annotated[
    str,
    typer.Option(
        envvar="IMAGE_PIPELINES_REGISTRY",
        help="Compile for images in this registry, e.g. registry.example.com/team. Default: the committed compiled"
        " files, whose images have no registry.",
    ),
]
Tag = Annotated[
    str, typer.Option(envvar="IMAGE_PIPELINES_TAG", help="With --registry: tag of the images. Default: this version.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")]
Lake = Annotated[str, typer.Option(help="Root URI of the lake. Default: IMAGE_PIPELINES_LAKE.")]
Local = Annotated[bool, typer.Option("--local", help="Run on this machine instead of a server.")]
Root = Annotated[Path, typer.Option(help="With --local: folder for artifacts and logs.")]
Experiment = Annotated[str, typer.Option(help="On a server: experiment that the run belongs to.")]
ServiceAccount = Annotated[
    str, typer.Option(help="On a server: Kubernetes service account of the run's pods. Default: the server's.")
]
Wait = Annotated[bool, typer.Option("--wait", help="On a server: wait until the run ends, and fail if the run failed.")]
Format = Annotated[
    output.Format,
    typer.Option(
        "--format",
        help="Format of the rows. A table shows the first 200 rows. In csv, texts that a spreadsheet would run as"
        " formulas get a leading '.",
    ),
]
