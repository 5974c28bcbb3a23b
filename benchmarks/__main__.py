"""Command line of the benchmarks.

`python -m benchmarks` measures all figures, `python -m benchmarks feed ranks` only two.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.bench import Bench
from benchmarks.process import REPOSITORY
from benchmarks.results import Figure, Machine, Results, Row, format_spread

FIGURES = (
    "merge_bytes",
    "growing_lake",
    "upkeep",
    "training_set_growth",
    "feed",
    "frozen_backbone",
    "scoring",
    "evaluation",
    "ranks",
    "more_ranks",
    "ingest",
    "near_duplicates",
    "full_loop",
    "gate_simulation",
)
# Hours: measured only by name.
SLOW_FIGURES = ("soak",)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# The original output: `_redirect_output` replaces `sys.stdout`.
console = Console(file=sys.stdout)


@app.command()
def main(
    figures: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"Figures to measure: {', '.join(FIGURES + SLOW_FIGURES)}. Default: all but {SLOW_FIGURES[0]}, which"
            " takes hours; they are stored.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="Store the figures in results.json and README.md.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the lakes, images and logs, which stay there. Default: a temporary folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Measure each figure and compare it with its goal."""
    # Spark's workers and the trainer's processes inherit both variables.
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with (
        TemporaryDirectory(prefix="benchmarks-") as temporary,
        closing(Bench((folder or Path(temporary)).resolve())) as bench,
    ):
        results = _measure(figures or FIGURES, bench)
    _print_table(results)
    if store or not figures:
        Results.read().updated_by(results).write()
    if results.failed:
        raise typer.Exit(1)


def _measure(figures: Iterable[str], bench: Bench) -> Results:
    results = Results()
    for name in figures:
        figure_started = time.monotonic()
        measure: Callable[[Bench], Iterable[Row]] = import_module(f"benchmarks.{name}").measure
        # The order matters: Rich's status redirects `sys.stdout` too.
        with console.status(f"{name}: measuring"), _redirect_output(bench.folder / "log"):
            try:
                today = datetime.now(UTC).date()
                results.figures[name] = Figure(measured_on=today, machine=Machine.current(), rows=list(measure(bench)))
            except Exception as error:  # measure the other figures
                results.failed[name] = type(error).__name__
                console.print(traceback.format_exc(), markup=False, highlight=False)
        console.print(f"  {name:<16}{time.monotonic() - figure_started:7.1f} s", highlight=False)
    return results


@contextmanager
def _redirect_output(log: Path) -> Iterator[None]:
    """Append the output of Spark, TensorFlow and the components to a file."""
    with log.open("a") as file, redirect_stdout(file):
        errors = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(errors, 2)
            os.close(errors)


def _print_table(results: Results) -> None:
    table = Table("what", "on", "ours", "reference", "limit", "ratio", "goal", "", box=box.SIMPLE_HEAD)
    for row in results.rows:
        mark = "[green]✓[/]" if row.reached else "[red]✗[/]"
        table.add_row(row.name, row.size, *row.formatted_values(), format_spread(row.ratio), str(row.goal), mark)
    console.print(table)


if __name__ == "__main__":
    app()
