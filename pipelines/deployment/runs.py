"""Runs on the server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import urllib3
from kfp_server_api import ApiException

from pipelines.deployment.compiled import CompiledPipeline
from pipelines.deployment.server import Server
from pipelines.deployment.upload import find_uploaded

# KFP's own client waits for ever for a run that was terminated.
_FINAL = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_POLL_SECONDS = 5
# A server that is not there for less than this many polls was only started anew.
_PATIENCE = 24


class RunFailed(RuntimeError):  # noqa: N818 - reads as what happened, like subprocess.TimeoutExpired
    """A run on the server did not succeed; the message says how it ended and where to look."""


@dataclass(frozen=True)
class StartedRun:
    """A run on the server.

    Attributes:
        run_id: Its id.
        url: Its page in the UI.
        version: Name of the version that it runs; empty if it runs the compiled file itself.
    """

    run_id: str
    url: str
    version: str


def start_run(
    server: Server, compiled: CompiledPipeline, arguments: Mapping[str, Any], experiment: str, service_account: str
) -> StartedRun:
    """Start a run of the uploaded version with this content, or of the file, if that was not uploaded.

    Args:
        server: The server.
        compiled: The pipeline.
        arguments: Pipeline parameters; the others keep their defaults.
        experiment: The experiment that it belongs to; made if there is none.
        service_account: The account that its tasks run as; empty takes the server's.
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
    return StartedRun(run.run_id, server.link(f"runs/details/{run.run_id}"), uploaded.name if uploaded else "")


def wait_for(server: Server, run: StartedRun, on_state: Callable[[str], None]) -> None:
    """Wait until a run has ended.

    Args:
        server: The server.
        run: The run.
        on_state: Called with each state that it is in, as in `RUNNING`.

    Raises:
        RunFailed: It did not succeed.
    """
    state, missed = "", 0
    while state not in _FINAL:
        if state or missed:
            time.sleep(_POLL_SECONDS)
        try:
            now = server.run(run.run_id)
        except (ApiException, urllib3.exceptions.HTTPError) as error:
            missed += 1
            if missed > _PATIENCE or (
                isinstance(error, ApiException) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            ):
                raise
            continue
        missed = 0
        if now.state != state:
            state = now.state
            on_state(state)
    if state != "SUCCEEDED":
        said = f" ({now.error.message})" if now.error and now.error.message else ""
        raise RunFailed(f"run: ended {state}{said}. See {run.url}.")
