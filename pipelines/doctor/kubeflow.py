"""Kubeflow Pipelines: the server, uploaded pipelines and recurring runs."""

from collections.abc import Iterator

from components.container_images import ContainerImages
from components.errors import InputError
from pipelines.catalogue import PipelineName
from pipelines.deployment import recurring
from pipelines.deployment.cron import parse_cron
from pipelines.deployment.schedules import load_schedules
from pipelines.deployment.server import Server
from pipelines.deployment.upload import find_uploaded
from pipelines.doctor.context import Context
from pipelines.doctor.finding import Finding, error, of_exception, ok, warning
from pipelines.doctor.pools import task_images

_SAME = (recurring.Action.UNCHANGED, recurring.Action.LEFT)


def check_kubeflow(context: Context) -> Iterator[Finding]:
    """Yield findings about the server, each pipeline and each recurring run."""
    if not context.uses_server:
        yield ok("Kubeflow Pipelines is not used: the settings are those of this machine.")
        return
    with context.target.connected() as server:
        yield ok(f"endpoint: {server.url} responds.")
        yield from uploads(context, server)
        yield from _recurring_runs(context, server)


def uploads(context: Context, server: Server) -> Iterator[Finding]:
    """Yield a finding for each pipeline.

    Args:
        context: The installation.
        server: The server.
    """
    # A pipeline's content has the names of its images. Those of this pod may differ from the committed ones.
    has_other_images = (
        context.is_in_pod and not context.target.registry and task_images() != ContainerImages.committed()
    )
    with context.target.compiled(PipelineName) as pipelines:
        for compiled in pipelines.values():
            if server.find_pipeline(compiled.name) is None:
                yield error(f"pipeline {compiled.name}: not uploaded.", "Run `image-pipelines upload`.")
            elif find_uploaded(server, compiled) is not None:
                yield ok(f"pipeline {compiled.name}: version {compiled.version} is uploaded.")
            elif has_other_images:
                yield ok(
                    f"pipeline {compiled.name}: uploaded; its version was not compared, because this pod's image has"
                    " another registry or tag than the committed pipeline."
                )
            else:
                yield warning(
                    f"pipeline {compiled.name}: the server has no version {compiled.version}, which is the content of"
                    " this release.",
                    "Run `image-pipelines upload`, or give --registry and --tag as for the upload.",
                )


def _recurring_runs(context: Context, server: Server) -> Iterator[Finding]:
    existing = server.recurring_runs()
    enabled = [each for each in existing if recurring.is_enabled(each)]
    for each in enabled:
        cron = recurring.cron_of(each)
        if cron and recurring.name_of(each):
            try:
                parse_cron(cron)
            except InputError as exception:
                yield of_exception(exception, each.display_name)
    if not enabled:
        yield warning(
            "recurring runs: none is enabled, so nothing runs by itself.",
            "Run `image-pipelines schedule apply`, or start runs by hand.",
        )
    else:
        yield ok(f"recurring runs: {', '.join(each.display_name for each in enabled)}.")
    if context.file is not None:
        yield from _changes(context, server, existing)


def _changes(context: Context, server: Server, existing: list[object]) -> Iterator[Finding]:
    """Yield the differences between a file of recurring runs and the server."""
    assert context.file is not None
    schedules = [each.with_typed_parameters(context.file) for each in load_schedules(context.file)]
    wanted = []
    with context.target.compiled({each.pipeline for each in schedules}) as pipelines:
        for schedule in schedules:
            version = find_uploaded(server, pipelines[schedule.pipeline], schedule.version)
            if version is None:
                yield error(
                    f"{schedule.name}: the server lacks the version of its pipeline.", "Run `image-pipelines upload`."
                )
            else:
                wanted.append(recurring.Pinned(schedule, version))
    for change in recurring.plan(wanted, existing, prune=False):
        if change.action not in _SAME:
            yield warning(
                f"{change.name}: the server differs from {context.file} ({change.action}).",
                "Run `image-pipelines schedule apply` with the same --file.",
            )
