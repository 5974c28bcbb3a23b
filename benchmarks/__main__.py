"""Measure: `python -m benchmarks`, or some figures only: `python -m benchmarks feed ranks`."""

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
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
from benchmarks.results import Machine, Results, Row, show

FIGURES = (
    "merge_bytes",
    "growing_lake",
    "feed",
    "frozen_backbone",
    "scoring",
    "ranks",
    "more_ranks",
    "ingest",
    "full_loop",
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
# This one, whatever becomes of `sys.stdout`.
console = Console(file=sys.stdout)


@app.command()
def main(
    figures: Annotated[
        list[str] | None, typer.Argument(help="Which to measure; all of them, and then they are written, if none.")
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where to keep what it makes; removed if not given.")] = None,
) -> None:
    """Measure each figure beside the reference's way."""
    # For Spark's workers and the trainer's processes too.
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with (
        TemporaryDirectory(prefix="benchmarks-") as temporary,
        closing(Bench((folder or Path(temporary)).resolve())) as bench,
    ):
        results = _measure(figures or FIGURES, bench)
    _print(results)
    if not figures:
        results.write()
    if results.failed:
        raise typer.Exit(1)


def _measure(figures: Iterable[str], bench: Bench) -> Results:
    started = time.monotonic()
    rows: list[Row] = []
    failed = {}
    for name in figures:
        begun = time.monotonic()
        measure: Callable[[Bench], Iterable[Row]] = import_module(f"benchmarks.{name}").measure
        # In this order, because Rich takes over what is printed while it shows a status.
        with console.status(f"{name}: measuring"), _quiet(bench.folder / "log"):
            try:
                rows += measure(bench)
            except Exception as error:  # the other figures are worth having
                failed[name] = type(error).__name__
                console.print(traceback.format_exc(), markup=False, highlight=False)
        console.print(f"  {name:<16}{time.monotonic() - begun:7.1f} s", highlight=False)
    return Results(machine=Machine.this(), seconds=time.monotonic() - started, rows=rows, failed=failed)


@contextmanager
def _quiet(log: Path) -> Iterator[None]:
    """Let a file have what Spark, TensorFlow and the components say."""
    with log.open("a") as file, redirect_stdout(file):
        errors = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(errors, 2)
            os.close(errors)


def _print(results: Results) -> None:
    table = Table("what", "on", "ours", "reference", "limit", "ratio", "goal", "", box=box.SIMPLE_HEAD)
    for row in results.rows:
        mark = "[green]✓[/]" if row.reached else "[red]✗[/]"
        measured = (show(each, row.unit) for each in (row.ours, row.reference, row.limit))
        table.add_row(row.name, row.size, *measured, show(row.ratio), str(row.goal), mark)
    console.print(table)


if __name__ == "__main__":
    app()
