"""The command that stores pretrained weights in the lake."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import console

app = typer.Typer(help="Store pretrained weights in the lake.", no_args_is_help=True)


@app.callback()
def weights() -> None:
    """Store pretrained weights in the lake."""


@app.command()
def put(
    file: Annotated[
        Path, typer.Argument(help="HDF5 file of Xception's weights without its top layer, as Keras 2 saves it.")
    ],
    name: Annotated[
        str,
        typer.Option(
            "--as", help="Name of the weights. Trainings look for 'imagenet'. Refer to another name by the file's URI."
        ),
    ] = "imagenet",
    lake: options.Lake = "",
) -> None:
    """Store a file of weights in the lake, so that trainings need no internet.

    On a machine with internet, Keras stores ImageNet's weights of Xception in ~/.keras/models, as
    xception_weights_tf_dim_ordering_tf_kernels_notop.h5.
    """
    from components.settings import Settings
    from components.storage import uri
    from components.storage.files import Files
    from components.train_classifier import lake_weights

    settings = Settings.load(lake=lake)
    root = uri.normalize(settings.required("lake"), "lake")
    files = Files.of(settings)
    files.check(root)
    written = lake_weights.put(file, root, name, files)
    outcome = "Written" if written.is_new else "Unchanged, because the content is the same"
    console.print(
        f"{outcome}: {written.uri}, {written.size_bytes / 2**20:.1f} MiB, SHA-256 {written.sha256}",
        highlight=False,
        soft_wrap=True,
    )
