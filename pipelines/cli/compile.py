"""The command that writes the generated files."""

from pathlib import Path
from typing import Annotated

import typer

from components.errors import InputError
from pipelines.catalogue import REPOSITORY
from pipelines.cli.terminal import console, errors


def compile_(
    check: Annotated[bool, typer.Option("--check", help="Write nothing, and fail if a file differs.")] = False,
    to: Annotated[Path | None, typer.Option(help="Folder for the compiled files. Default: the repository.")] = None,
    registry: Annotated[
        str, typer.Option(help="With --to: registry of the images, e.g. registry.example.com/team.")
    ] = "",
    tag: Annotated[str, typer.Option(help="With --registry: tag of the images. Default: this version.")] = "",
) -> None:
    """Write the generated files: compiled pipelines and components, and tables in the docs."""
    from components.container_images import ContainerImages
    from pipelines import generate
    from pipelines.deployment.compiled import compile_to

    if to is not None:
        compile_to(to, registry, tag)
        return
    if registry or tag or ContainerImages() != ContainerImages.committed():
        raise InputError(
            "--to: not set, and the committed files name other images. Give a folder for the compiled files."
        )
    files = generate.generated_files()
    changed = generate.differing(files) if check else generate.write(files)
    for path in changed:
        console.print(f"{'differs' if check else 'written'}: {path.relative_to(REPOSITORY)}", highlight=False)
    if check and changed:
        errors.print("These files differ from what the code generates. Run `make generate` and commit them.")
        raise typer.Exit(1)
