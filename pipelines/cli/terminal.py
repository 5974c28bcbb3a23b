"""The consoles to which the commands print."""

from rich.console import Console

console = Console()
errors = Console(stderr=True)


def print_line(text: str) -> None:
    """Print text unchanged: no markup, no colors, no line breaks by width."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def print_if_dry(dry_run: bool) -> None:
    """Print that a dry run has written nothing."""
    if dry_run:
        print_line("Nothing was written.")
