"""The input of the checks: the settings and the planned runs."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from components.check_parameters.check import given_addresses
from components.cluster.pod import POD_ENVIRONMENT_PREFIX
from components.errors import InputError
from components.parameters.ingest import DELETE
from components.settings import Settings
from components.storage import uri
from components.storage.files import Files
from components.storage.overlaps import ARCHIVE, folders_of
from pipelines.deployment.schedules import SCHEDULES
from pipelines.deployment.server_settings import ServerSettings
from pipelines.deployment.target import Target
from pipelines.doctor.planned_run import PlannedRun, runs_of_file, runs_of_server


@dataclass(frozen=True)
class Place:
    """A folder that the pipelines use.

    Attributes:
        kind: Setting that the folder stands for, e.g. `unlabeled_source`; or `ARCHIVE`.
        address: Path, URI or URL, as it was given.
        field: Where it was given: a setting, or a parameter of a recurring run.
    """

    kind: str
    address: str
    field: str


@dataclass(frozen=True)
class Context:
    """An installation, and how to examine it.

    Attributes:
        settings: The settings.
        write: Whether checks may write probe objects, take a lock and start pods. They remove all of these.
        file: File of recurring runs to check; None for those on the server, or else those in pipelines/schedules.yaml.
        target: Kubeflow Pipelines' server, and the images of the pipelines.
    """

    settings: Settings
    write: bool = False
    file: Path | None = None
    target: Target = field(default_factory=Target)

    @cached_property
    def files(self) -> Files:
        """Access to files."""
        return Files.of(self.settings)

    @property
    def root(self) -> str:
        """Normalized root URI of the lake.

        Raises:
            InputError: The setting `lake` is empty or malformed.
        """
        return uri.normalize(self.settings.required("lake"), "lake")

    @property
    def uses_cluster(self) -> bool:
        """Whether the settings are those of a cluster."""
        return (
            self.settings.launcher == "mpijob"
            or self.settings.spark_master.startswith("k8s://")
            or self.settings.lock == "lease"
        )

    @property
    def uses_server(self) -> bool:
        """Whether Kubeflow Pipelines runs the pipelines."""
        return self.uses_cluster or bool(self._server_settings.endpoint)

    @property
    def is_in_pod(self) -> bool:
        """Whether this process runs in a pod that has the environment of a task."""
        return bool(os.environ.get(f"{POD_ENVIRONMENT_PREFIX}NAMESPACE"))

    @property
    def namespace(self) -> str:
        """Namespace of the tasks."""
        settings = self._server_settings
        return os.environ.get(f"{POD_ENVIRONMENT_PREFIX}NAMESPACE") or settings.namespace or settings.server_namespace

    @cached_property
    def runs(self) -> tuple[PlannedRun, ...]:
        """The recurring runs; none if there is neither a server nor a file.

        Raises:
            InputError: The file does not exist or is malformed.
        """
        if self.file is None:
            if not self.uses_server:
                return ()
            try:
                with self.target.connected() as server:
                    found = runs_of_server(server)
            except InputError:
                # The check of Kubeflow Pipelines reports it.
                found = ()
            if found:
                return found
        return runs_of_file(self.file or SCHEDULES)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The folders that the settings and the recurring runs name, each once."""
        found = [Place(kind, address, kind) for kind, address in folders_of(self.settings).items() if address]
        for run in self.runs:
            try:
                addresses = given_addresses(run.pipeline, run.form)
            except InputError:
                # The check of the settings reports it.
                continue
            found += [
                Place(kind, address, f"{run.name}.{_parameter(kind)}")
                for kind, address in addresses.items()
                if address and address != DELETE
            ]
        first = {(place.kind, place.address): place for place in reversed(found)}
        return tuple(place for place in found if first[place.kind, place.address] is place)

    @property
    def _server_settings(self) -> ServerSettings:
        return ServerSettings.load(endpoint=self.target.endpoint, namespace=self.target.namespace)


def _parameter(kind: str) -> str:
    """Return the parameter of a pipeline that replaces a setting."""
    if kind == ARCHIVE:
        return "ingest_options.archive"
    return {"lake": "lake", "labeling_destination": "destination"}.get(kind, "source")
