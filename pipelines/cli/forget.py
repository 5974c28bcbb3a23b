"""The command that forgets images."""

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import print_if_dry, print_line


def forget(
    path: Annotated[
        list[str] | None, typer.Argument(help="Paths of the images, as in the table files.", show_default=False)
    ] = None,
    from_file: Annotated[
        Path | None, typer.Option("--from", help="File with one path on each line, in UTF-8.", show_default=False)
    ] = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(help="SHA-256 of a file or of its stored picture; repeatable.", show_default=False),
    ] = None,
    destination: Annotated[
        list[str] | None,
        typer.Option(
            help="Folder or URL to which images were exported, in addition to the setting labeling_destination;"
            " repeatable.",
            show_default=False,
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Remove the bytes now, and not after the retention of the pipeline maintenance. Tasks that read images"
            " at the same time may fail.",
        ),
    ] = False,
    lake: options.Lake = "",
    dry_run: options.DryRun = False,
) -> None:
    """Remove images from the lake and from exports, so that they never come back.

    All paths with the same content are forgotten, too. The command lists what it can't reach.
    """
    from components.errors import InputError
    from components.maintain_lake import forget
    from components.settings import Settings

    paths = list(path or ())
    if from_file is not None:
        try:
            lines = from_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise InputError(f"--from: '{from_file}' can't be read ({error}). Give a text file in UTF-8.") from None
        paths += [line.strip() for line in lines if line.strip()]
    result = forget.forget(Settings.load(lake=lake), paths, sha256 or [], destination or [], now, dry_run)
    verb = "Would forget" if dry_run else "Forgot"
    print_line(f"{verb} {len(result.images):,} contents of {len(result.tombstones):,} paths.")
    for duplicate in result.duplicates:
        print_line(f"{verb} another path with the same content: {duplicate}")
    print_line(f"Segments of training sets with these contents: {result.segments:,}")
    for folder in result.old_training_sets:
        print_line(f"A training set of release 0.1.0 may contain them. Delete it: {folder}")
    if not dry_run:
        print_line(f"Files of features rewritten: {result.features:,}")
        print_line("A training that runs now may store such features again. Repeat the command after it ends.")
        print_line(f"Exported copies removed: {len(result.copies):,}")
        for batch, missing in sorted(result.unreachable.items()):
            print_line(
                f"Batch {batch}: no copy found of {', '.join(missing)}. Repeat the command with the --destination of"
                " that export."
            )
        if result.bytes_removed:
            print_line("The bytes are gone from the lake.")
        else:
            print_line("The pipeline maintenance removes the bytes from the lake after the retention.")
        print_line(
            "Not reached: the files in landing folders and archives, versions and soft-deleted copies of objects in the"
            " store, copies in labeling services, thumbnails in reports of earlier runs, backups, and what trained"
            " models have learned."
        )
        print_line("Path, hashes, labels and predictions stay as rows.")
    print_if_dry(dry_run)
