"""The recurring runs of an installation, from the server or from the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.parameters import IngestOptions, parse_form
from components.parameters.forms import Form, ScoringForm, TrainingForm
from pipelines.catalogue import PipelineName
from pipelines.deployment.schedules import load_schedules

if TYPE_CHECKING:
    from pipelines.deployment.server import Server


@dataclass(frozen=True)
class PlannedRun:
    """A recurring run.

    Attributes:
        name: Name of the recurring run.
        pipeline: The pipeline that it runs.
        parameters: Parameters that differ from their defaults.
        cron: When it runs: second, minute, hour, day of month, month and day of week; empty for another trigger.
    """

    name: str
    pipeline: PipelineName
    parameters: Mapping[str, Any]
    cron: str

    @property
    def form(self) -> Form:
        """The validated parameters.

        Raises:
            InputError: A parameter is unknown, or a value is not allowed.
        """
        return parse_form(self.pipeline, self.parameters)

    @property
    def is_valid(self) -> bool:
        """Whether its parameters are valid. The check `settings` reports invalid ones."""
        try:
            parse_form(self.pipeline, self.parameters)
        except InputError:
            return False
        return True

    @property
    def ingest_options(self) -> IngestOptions | None:
        """The options of its ingest; None if its pipeline ingests nothing.

        Raises:
            InputError: See `form`.
        """
        form = self.form
        return form.ingest_options if isinstance(form, TrainingForm | ScoringForm) else None


def runs_of_file(path: Path) -> tuple[PlannedRun, ...]:
    """Return the enabled recurring runs of a file.

    Args:
        path: The YAML.

    Raises:
        InputError: The file does not exist or is malformed.
    """
    return tuple(
        PlannedRun(each.name, each.pipeline, each.with_typed_parameters(path).parameters, each.cron)
        for each in load_schedules(path)
        if each.enabled
    )


def runs_of_server(server: "Server") -> tuple[PlannedRun, ...]:
    """Return the enabled recurring runs of our pipelines on a server.

    Args:
        server: The server.
    """
    from pipelines.deployment.compiled import read_compiled
    from pipelines.deployment.recurring import cron_of, is_enabled

    pipelines = {
        found.pipeline_id: name
        for name in PipelineName
        if (found := server.find_pipeline(read_compiled(name.compiled).name)) is not None
    }
    return tuple(
        PlannedRun(
            each.display_name,
            pipelines[each.pipeline_version_reference.pipeline_id],
            (each.runtime_config.parameters if each.runtime_config else None) or {},
            cron_of(each),
        )
        for each in server.recurring_runs()
        if is_enabled(each)
        and each.pipeline_version_reference is not None
        and each.pipeline_version_reference.pipeline_id in pipelines
    )
