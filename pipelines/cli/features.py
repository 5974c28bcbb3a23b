"""The commands that list and remove stored features of frozen backbones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli import options
from pipelines.cli.terminal import print_if_dry, print_line

if TYPE_CHECKING:
    from components.storage.files import Files
    from components.training_set.features import SegmentFeatures

app = typer.Typer(
    help="List and remove the stored features of frozen backbones.",
    no_args_is_help=True,
)

Keep = Annotated[int, typer.Option(min=1, help="Number of the newest training sets whose features are needed.")]


@app.command("list")
def list_(keep: Keep = 10, lake: options.Lake = "") -> None:
    """List backbones with the sizes of their features, stored and not needed."""
    from components.training_set.features import list_features, unused_features

    root, files = _open(lake)
    unused = unused_features(root, keep, files)
    stored = list_features(root, files)
    for key in sorted({each.key for each in stored}):
        of_key = [each for each in stored if each.key == key]
        not_needed = [each for each in unused if each.key == key]
        print_line(f"{key}: {_size(of_key)}, not needed: {_size(not_needed)}")
    print_line(f"All backbones: {_size(stored)}, not needed: {_size(unused)}")


@app.command()
def remove(keep: Keep = 10, lake: options.Lake = "", dry_run: options.DryRun = False) -> None:
    """Remove the features that trainings on the newest training sets do not need.

    A training that needs them after all computes them again.
    """
    from components.training_set.features import remove_features, unused_features

    root, files = _open(lake)
    unused = unused_features(root, keep, files)
    if not dry_run:
        remove_features(root, unused, files)
    print_line(f"{'Would remove' if dry_run else 'Removed'}: {_size(unused)}")
    print_if_dry(dry_run)


def _open(lake: str) -> "tuple[str, Files]":
    from components.settings import Settings
    from components.storage import uri
    from components.storage.files import Files

    settings = Settings.load(lake=lake)
    root = uri.normalize(settings.required("lake"), "lake")
    files = Files.of(settings)
    files.check(root)
    return root, files


def _size(features: "Sequence[SegmentFeatures]") -> str:
    mib = sum(each.bytes for each in features) / 2**20
    return f"features of {len(features)} {'segment' if len(features) == 1 else 'segments'}, {mib:,.1f} MiB"
