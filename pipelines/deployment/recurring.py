"""Make the server's recurring runs match the file, without losing a schedule in a crash.

The server can only enable, disable and delete a recurring run. To change its content, `apply` creates a new recurring
run that is disabled, enables it, and deletes the old one. After a crash at any point, the schedule still runs, and the
next `apply` completes the change. Between the last two requests, both are enabled, so a run can start twice. That is
harmless: the second run waits for the lock, and finds no new images. A missing run would be worse, because nobody would
notice it.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from components.errors import InputError
from pipelines.deployment.schedules import Schedule
from pipelines.deployment.server import Server
from pipelines.deployment.upload import UploadedVersion

# Our mark at the end of the description. The server stores no labels of recurring runs, which could be the mark.
_MARK = re.compile(r"(?:^|\s)\[image-pipelines (?P<name>[a-z0-9-]+) (?P<digest>[0-9a-f]{12})\]$")
_DIGITS = 12


@dataclass(frozen=True)
class Pinned:
    """A recurring run that the server should have.

    Attributes:
        schedule: Its entry in the file.
        version: The pipeline version that it runs.
    """

    schedule: Schedule
    version: UploadedVersion

    @property
    def digest(self) -> str:
        """Hash of all fields that the server can't change later."""
        fixed = self.schedule.model_dump(exclude={"enabled", "version"})
        text = json.dumps([fixed, self.version.pipeline_id, self.version.version_id], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def description(self) -> str:
        """The description in the file, followed by our mark."""
        return f"{self.schedule.description} [image-pipelines {self.schedule.name} {self.digest}]".lstrip()


class Action(StrEnum):
    """The action of `apply` on a recurring run."""

    CREATED = "created"
    REPLACED = "replaced"
    COMPLETED = "completed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    LEFT = "not in the file, unchanged"


@dataclass(frozen=True)
class Change:
    """The change for one name of a recurring run.

    Attributes:
        name: Name in the file.
        action: Summary of the change.
        wanted: The recurring run that the server should have; None to have none.
        retained: The existing recurring run that stays, if any.
        replaced: The existing recurring run that `wanted` replaces, if any.
        superseded: The existing recurring runs to delete.
    """

    name: str
    action: Action
    wanted: Pinned | None = None
    retained: Any | None = None
    replaced: Any | None = None
    superseded: Sequence[Any] = field(default_factory=tuple)


def name_of(recurring_run: Any) -> str | None:
    """Return the name in the mark of a recurring run, or None if `apply` did not create it."""
    match = _MARK.search(recurring_run.description or "")
    return match["name"] if match else None


def is_enabled(recurring_run: Any) -> bool:
    """Return whether a recurring run is enabled."""
    return bool(recurring_run.status == "ENABLED")


def plan(wanted: Iterable[Pinned], existing: Iterable[Any], prune: bool) -> list[Change]:
    """Return the changes that make the server match the file, in the order of the file.

    Args:
        wanted: The recurring runs in the file.
        existing: The server's recurring runs, oldest first. Those without our mark are ignored.
        prune: Whether to delete recurring runs that have our mark and are not in the file.
    """
    ours: dict[str, list[Any]] = {}
    for recurring_run in existing:
        if name := name_of(recurring_run):
            ours.setdefault(name, []).append(recurring_run)
    changes = [_change(pinned, ours.pop(pinned.schedule.name, [])) for pinned in wanted]
    for name, rest in ours.items():
        action, superseded = (Action.DELETED, rest) if prune else (Action.LEFT, [])
        changes.append(Change(name, action, superseded=superseded))
    return changes


def _change(pinned: Pinned, existing: list[Any]) -> Change:
    name, enabled = pinned.schedule.name, pinned.schedule.enabled
    same = [run for run in existing if _digest(run) == pinned.digest]
    # If there are several, prefer one that needs no change.
    retained = next((run for run in same if is_enabled(run) == enabled), same[0] if same else None)
    superseded = tuple(run for run in existing if run is not retained)
    if retained is None:
        action = Action.REPLACED if existing else Action.CREATED
    elif superseded:
        action = Action.COMPLETED
    elif is_enabled(retained) != enabled:
        action = Action.ENABLED if enabled else Action.DISABLED
    else:
        action = Action.UNCHANGED
    # If there are several, compare with an enabled one.
    replaced = max(existing, key=is_enabled, default=None) if retained is None else None
    return Change(name, action, pinned, retained, replaced, superseded)


def _digest(recurring_run: Any) -> str | None:
    match = _MARK.search(recurring_run.description or "")
    return match["digest"] if match else None


def apply_change(server: Server, change: Change) -> None:
    """Apply a change to the server."""
    if change.wanted is not None:
        retained = change.retained or _create(server, change.wanted)
        if is_enabled(retained) != change.wanted.schedule.enabled:
            server.set_enabled(retained.recurring_run_id, change.wanted.schedule.enabled)
    for recurring_run in change.superseded:
        server.delete_recurring_run(recurring_run.recurring_run_id)


def pause(server: Server, names: Sequence[str], dry_run: bool) -> list[str]:
    """Disable recurring runs that have our mark.

    Args:
        server: The server.
        names: Their names; empty for all.
        dry_run: Whether to write nothing.

    Returns:
        The names of the recurring runs that were enabled.

    Raises:
        InputError: A name does not exist.
    """
    ours = [run for run in server.recurring_runs() if name_of(run)]
    existing = sorted({str(name_of(run)) for run in ours})
    if unknown := [name for name in names if name not in existing]:
        raise InputError(
            f"names: `schedule apply` created no recurring run '{unknown[0]}' on {server.url}. Existing names:"
            f" {', '.join(existing) or 'none'}."
        )
    enabled = [run for run in ours if is_enabled(run) and (not names or name_of(run) in names)]
    for run in enabled:
        if not dry_run:
            server.set_enabled(run.recurring_run_id, False)
    return sorted({str(name_of(run)) for run in enabled})


def _create(server: Server, pinned: Pinned) -> Any:
    schedule = pinned.schedule
    return server.create_recurring_run(
        server.experiment(schedule.experiment).experiment_id,
        schedule.name,
        description=pinned.description,
        cron_expression=schedule.cron,
        max_concurrency=schedule.max_concurrency,
        no_catchup=schedule.no_catchup,
        params=schedule.parameters,
        pipeline_id=pinned.version.pipeline_id,
        version_id=pinned.version.version_id,
        enabled=False,
        service_account=schedule.service_account or None,
    )


def differences(server: Server, change: Change) -> list[str]:
    """Return a line for each changed field, e.g. `cron: 0 0 2 * * * -> 0 30 2 * * *`."""
    if change.wanted is None:
        return []
    schedule = change.wanted.schedule
    lines = []
    if change.replaced is not None:
        old, new = _existing_fields(server, change.replaced), _wanted_fields(change.wanted)
        lines = [f"{key}: {old[key]} -> {new[key]}" for key in new if old[key] != new[key]]
    before = change.retained or change.replaced
    if before is not None and is_enabled(before) != schedule.enabled:
        lines.append(f"enabled: {_boolean_text(is_enabled(before))} -> {_boolean_text(schedule.enabled)}")
    leftovers = len(change.superseded) - (change.replaced is not None)
    if leftovers:
        lines.append(f"leftovers of an interrupted apply, deleted: {leftovers}")
    return lines


def _wanted_fields(pinned: Pinned) -> dict[str, str]:
    schedule = pinned.schedule
    fields = {
        "version": pinned.version.name,
        "cron": schedule.cron,
        "parameters": json.dumps(schedule.parameters, sort_keys=True),
        "max_concurrency": str(schedule.max_concurrency),
        "no_catchup": _boolean_text(schedule.no_catchup),
        "experiment": schedule.experiment,
        "description": schedule.description,
    }
    # If the file names no service account, the server sets its default.
    return fields | ({"service_account": schedule.service_account} if schedule.service_account else {})


def _existing_fields(server: Server, recurring_run: Any) -> dict[str, str]:
    """Return the fields of a recurring run on the server, as `_wanted_fields` does."""
    parameters = recurring_run.runtime_config.parameters if recurring_run.runtime_config else {}
    return {
        "version": version_name(server, recurring_run),
        "cron": cron_of(recurring_run),
        "parameters": json.dumps(parameters or {}, sort_keys=True),
        "max_concurrency": str(recurring_run.max_concurrency),
        "no_catchup": _boolean_text(bool(recurring_run.no_catchup)),
        "experiment": server.experiment_name(recurring_run.experiment_id),
        "description": _MARK.sub("", recurring_run.description or ""),
        "service_account": recurring_run.service_account or "",
    }


def cron_of(recurring_run: Any) -> str:
    """Return a recurring run's cron expression; empty if it has another trigger."""
    schedule = recurring_run.trigger.cron_schedule if recurring_run.trigger else None
    return str(schedule.cron) if schedule else ""


def version_name(server: Server, recurring_run: Any) -> str:
    """Return the name of a recurring run's pinned version; empty if it is not pinned."""
    reference = recurring_run.pipeline_version_reference
    if reference is None or not reference.pipeline_version_id:
        return ""
    return server.version_name(reference.pipeline_id, reference.pipeline_version_id)


def _boolean_text(value: bool) -> str:
    return "true" if value else "false"
