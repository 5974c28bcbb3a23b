"""The commands that run pipelines, on a server or on this machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelines.catalogue import ComponentName, PipelineName
from pipelines.cli import options
from pipelines.cli.local_environment import default_environment
from pipelines.cli.terminal import console, print_line
from pipelines.deployment.target import Target

if TYPE_CHECKING:
    from pipelines.local_runner import LocalRun

_ROOT = Path("runs")
_EXPERIMENT = "image-pipelines"


def run(
    pipeline: Annotated[PipelineName, typer.Argument(help="Pipeline to run.")],
    local: options.Local = False,
    param: Annotated[
        list[str] | None,
        typer.Option(help="Parameter as NAME=VALUE, e.g. epochs=5; repeatable. `run PIPELINE --help` lists all."),
    ] = None,
    root: options.Root = _ROOT,
    experiment: options.Experiment = _EXPERIMENT,
    service_account: options.ServiceAccount = "",
    wait: options.Wait = False,
    registry: options.Registry = "",
    tag: options.Tag = "",
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Run a pipeline on a Kubeflow Pipelines server, or with --local on this machine.

    On a server, the run uses the uploaded version with the same content, or the compiled file if there is none.

    Example: `image-pipelines run training --local --param source=/data/labeled`
    """
    if not local:
        target = Target(endpoint, namespace, registry, tag)
        _run_on_server(pipeline, param or [], target, experiment, service_account, wait)
        return
    from pipelines.parameters import parse_parameters

    arguments = parse_parameters(pipeline, param or [])
    result, log = _run_locally(pipeline, pipeline.compiled, arguments, root)
    console.print(f"Artifacts: {result.folder}\nLog: {log}", highlight=False)


def rescore(
    local: options.Local = False,
    root: options.Root = _ROOT,
    experiment: options.Experiment = _EXPERIMENT,
    service_account: options.ServiceAccount = "",
    wait: options.Wait = False,
    registry: options.Registry = "",
    tag: options.Tag = "",
    endpoint: options.Endpoint = "",
    namespace: options.Namespace = "",
) -> None:
    """Score all unlabeled images that the champion has not scored, e.g. after a promotion.

    Predictions of other versions stay in the lake.

    On a server, this is a run of the whole scoring pipeline, which also ingests new images and exports uncertain ones
    for labeling.
    """
    if not local:
        target = Target(endpoint, namespace, registry, tag)
        _run_on_server(PipelineName.SCORING, ["rescore=true"], target, experiment, service_account, wait)
        return
    # Rescoring needs no new images, so the component runs without the other tasks of its pipeline.
    result, log = _run_locally("rescore", ComponentName.SCORE_IMAGES.compiled, {"rescore": True}, root)
    outputs = result.tasks["score-images"].outputs
    console.print(
        f"Version {outputs['model_version']} scored {outputs['scored']:,} images; {outputs['failed']:,} could not be"
        f" decoded.\nArtifacts: {result.folder}\nLog: {log}",
        highlight=False,
    )


def _run_locally(name: str, compiled: Path, arguments: Mapping[str, Any], root: Path) -> "tuple[LocalRun, Path]":
    """Run a compiled pipeline or component on this machine; return the run and its log."""
    from pipelines.local_runner import run_compiled
    from pipelines.progress import show_progress

    log = root / "logs" / f"{name}.log"
    with show_progress(console, name) as on_event:
        return run_compiled(compiled, arguments, root.resolve(), default_environment(), log, on_event), log


def _run_on_server(
    pipeline: PipelineName, pairs: Sequence[str], target: Target, experiment: str, service_account: str, wait: bool
) -> None:
    """Start a run of a pipeline on the server; with `wait`, return when it has ended."""
    from pipelines.deployment.runs import start_run, wait_for
    from pipelines.parameters import check_defaults, parse_parameters

    arguments = parse_parameters(pipeline, pairs)
    with target.compiled([pipeline]) as pipelines:
        compiled = pipelines[pipeline]
        check_defaults(pipeline, compiled.path)
        with target.connected() as server:
            started = start_run(server, compiled, arguments, experiment, service_account)
            source = f"version {started.version}" if started.version else "the compiled file, which was not uploaded"
            print_line(f"Run {started.run_id} of {source}\n{started.url}")
            if wait:
                wait_for(server, started, print_line)
