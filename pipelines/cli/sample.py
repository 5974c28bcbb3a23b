"""The command that creates sample data sets."""

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from components.errors import InputError
from pipelines.cli.terminal import console


class SampleName(StrEnum):
    """The sample data sets."""

    DIGITS = "digits"
    CALTECH256 = "caltech256"


def sample(
    name: Annotated[
        SampleName,
        typer.Argument(help="digits: 1,797 handwritten digits, without a download. caltech256: photographs, 1.2 GB."),
    ],
    to: Annotated[Path, typer.Option(help="Folder to create the data set in.")],
    url: Annotated[
        str, typer.Option(help="For caltech256: URL of a mirror of the archive. The content must be the same.")
    ] = "",
) -> None:
    """Create a sample data set: labeled images, and unlabeled images that arrive later."""
    if name is SampleName.DIGITS:
        from pipelines.samples.digits import make_digits

        if url:
            raise InputError("--url: not supported for 'digits', which needs no download. Leave it out.")
        summary = make_digits(to)
    else:
        from pipelines.samples.caltech256 import ARCHIVE, make_caltech256

        summary = make_caltech256(to, console, replace(ARCHIVE, url=url) if url else ARCHIVE)
    console.print(summary, highlight=False)
