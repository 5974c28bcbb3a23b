"""The settings, and the parameters of the recurring runs."""

from collections.abc import Iterator
from functools import partial

from components.check_parameters.check import check
from components.notify.mail import compose
from components.notify.message import Message
from components.train_classifier.launchers import make_launcher
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, guarded, ok
from pipelines.doctor.planned_run import PlannedRun

_REQUIRED = ("lake", "mlflow_tracking_uri", "model_name", "experiment")


def check_settings(context: Context) -> Iterator[Finding]:
    """Yield findings about the settings and the recurring runs' parameters."""
    for name in _REQUIRED:
        yield from guarded(partial(_required, context, name))
    if context.settings.launcher == "local":
        yield from guarded(partial(_launcher, context))
    for run in context.runs:
        yield from guarded(partial(_run, context, run), run.name)


def _required(context: Context, name: str) -> Iterator[Finding]:
    yield ok(f"{name}: {context.settings.required(name)}")


def _launcher(context: Context) -> Iterator[Finding]:
    make_launcher(context.settings)
    yield ok(f"trainer_python: {context.settings.trainer_python}")


def _run(context: Context, run: PlannedRun) -> Iterator[Finding]:
    lake = run.parameters.get("lake") or context.settings.lake
    check(run.pipeline, {**run.parameters, "lake": lake})
    if to := run.form.notify_to:
        compose(context.settings, Message("", ()), to)
    yield ok(f"{run.name}: the parameters of the pipeline {run.pipeline} are valid.")
