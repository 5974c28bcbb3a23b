"""Start runs on the server, and wait for them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import urllib3
from kfp_server_api import ApiException

from pipelines.deployment.compiled import CompiledPipeline
from pipelines.deployment.failures import find_failure
from pipelines.deployment.server import Server
from pipelines.deployment.upload import find_uploaded
from pipelines.errors import RunFailed

# States of a run that has ended. KFP's own client does not count CANCELED, so it waits for a terminated run forever.
_FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_POLL_SECONDS = 5
# Number of consecutive polls that may fail, so that a restart of the server does not end the wait.
_MAXIMUM_FAILED_POLLS = 24


@dataclass(frozen=True)
class StartedRun:
    """A run on the server.

    Attributes:
        run_id: Id of the run.
        url: Page of the run in the UI.
        version: Name of the pipeline version that it runs; empty if it runs the compiled file.
    """

    run_id: str
    url: str
    version: str


def start_run(
    server: Server, compiled: CompiledPipeline, arguments: Mapping[str, Any], experiment: str, service_account: str
) -> StartedRun:
    """Start a run of the uploaded version with this content, or else of the compiled file.

    Args:
        server: The server.
        compiled: The pipeline.
        arguments: Pipeline parameters that differ from their defaults.
        experiment: Name of the experiment; created if it does not exist.
        service_account: Service account of the run's pods. Empty: the server's default.
    """
    uploaded = find_uploaded(server, compiled)
    source: dict[str, Any] = {"pipeline_package_path": str(compiled.path)}
    if uploaded is not None:
        source = {"pipeline_id": uploaded.pipeline_id, "version_id": uploaded.version_id}
    run = server.start_run(
        server.experiment(experiment).experiment_id,
        f"{compiled.name} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}",
        params=dict(arguments),
        service_account=service_account or None,
        **source,
    )
    return StartedRun(run.run_id, server.run_page(run.run_id), uploaded.name if uploaded else "")


def wait_for(server: Server, run: StartedRun, on_state: Callable[[str], None]) -> None:
    """Wait until a run ends.

    Args:
        server: The server.
        run: The run.
        on_state: Called with each new state of the run, e.g. `RUNNING`.

    Raises:
        RunFailed: The run did not succeed.
    """
    state, failed_polls = "", 0
    while state not in _FINAL:
        if state or failed_polls:
            time.sleep(_POLL_SECONDS)
        try:
            now = server.run(run.run_id)
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            failed_polls += 1
            if failed_polls > _MAXIMUM_FAILED_POLLS or (
                isinstance(error, ApiException) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                raise
            continue
        failed_polls = 0
        if now.state != state:
            state = now.state
            on_state(state)
    if state != "SUCCEEDED":
        raise RunFailed(f"run: ended {state}. {_cause(server, now)}See {run.url}.")


def _cause(server: Server, run: Any) -> str:
    """Return the cause of a failed run, followed by a space; empty if the server returns none."""
    if (failure := find_failure(server, run.run_id)) is not None:
        cause = f"task '{failure.task}' failed. {failure.sentence}".strip()
    else:
        cause = run.error.message if run.error and run.error.message else ""
    return f"{cause.rstrip('.')}. " if cause else ""
