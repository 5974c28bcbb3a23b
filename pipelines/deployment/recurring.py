"""Make the server's recurring runs what the file says, in an order that a crash can't turn into a lost or doubled one.

The server can't change a recurring run but for turning it on and off, so another content is another recurring run. The
new one is made while it is off, then it is turned on, then the old one is deleted: whenever this ends before its time,
the schedule is still there, and the next time completes it. Between the last two requests both are on. That is the
smaller evil: a start that comes twice finds the tables locked and nothing new, one that never comes is not noticed.
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

# Ends the description of a recurring run that is ours, because the server keeps no labels of them.
_MARK = re.compile(r"(?:^|\s)\[image-pipelines (?P<name>[a-z0-9-]+) (?P<digest>[0-9a-f]{12})\]$")
_DIGITS = 12


@dataclass(frozen=True)
class Pinned:
    """A recurring run as it should be.

    Attributes:
        schedule: What the file says.
        version: The version that it runs.
    """

    schedule: Schedule
    version: UploadedVersion

    @property
    def digest(self) -> str:
        """Stands for all that the server can't change later."""
        fixed = self.schedule.model_dump(exclude={"enabled", "version"})
        text = json.dumps([fixed, self.version.pipeline_id, self.version.version_id], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]

    @property
    def description(self) -> str:
        """What people should know, and the mark."""
        return f"{self.schedule.description} [image-pipelines {self.schedule.name} {self.digest}]".lstrip()


class Action(StrEnum):
    """What becomes of a recurring run."""

    CREATED = "created"
    REPLACED = "replaced"
    COMPLETED = "completed"
    ENABLED = "enabled"
    DISABLED = "disabled"
    UNCHANGED = "unchanged"
    DELETED = "deleted"
    LEFT = "not in the file, left alone"


@dataclass(frozen=True)
class Change:
    """What has to be done for one name.

    Attributes:
        name: The recurring run's.
        action: In a word.
        wanted: What should be there; None for nothing.
        kept: What is there already and stays.
        replaced: What the content of `wanted` differs from, if anything of the name is there.
        superseded: What has to go.
    """

    name: str
    action: Action
    wanted: Pinned | None = None
    kept: Any | None = None
    replaced: Any | None = None
    superseded: Sequence[Any] = field(default_factory=tuple)


def name_of(recurring_run: Any) -> str | None:
    """Return the name of a recurring run that is ours, or None for somebody else's."""
    match = _MARK.search(recurring_run.description or "")
    return match["name"] if match else None


def is_enabled(recurring_run: Any) -> bool:
    """Return whether a recurring run starts runs."""
    return bool(recurring_run.status == "ENABLED")


def plan(wanted: Iterable[Pinned], existing: Iterable[Any], prune: bool) -> list[Change]:
    """Return what has to be done so that the server has what is wanted, in the order of the file.

    Args:
        wanted: What the server should have.
        existing: Its recurring runs, the oldest first. Those without our mark are nobody's business here.
        prune: Whether ours that are not wanted go.
    """
    ours: dict[str, list[Any]] = {}
    for recurring_run in existing:
        if name := name_of(recurring_run):
            ours.setdefault(name, []).append(recurring_run)
    changes = [_change(pinned, ours.pop(pinned.schedule.name, [])) for pinned in wanted]
    for name, rest in ours.items():
        action, gone = (Action.DELETED, rest) if prune else (Action.LEFT, [])
        changes.append(Change(name, action, superseded=gone))
    return changes


def _change(pinned: Pinned, there: list[Any]) -> Change:
    name, enabled = pinned.schedule.name, pinned.schedule.enabled
    same = [each for each in there if _digest(each) == pinned.digest]
    # Of several, the one that needs nothing.
    kept = next((each for each in same if is_enabled(each) == enabled), same[0] if same else None)
    superseded = tuple(each for each in there if each is not kept)
    if kept is None:
        action = Action.REPLACED if there else Action.CREATED
    elif superseded:
        action = Action.COMPLETED
    elif is_enabled(kept) != enabled:
        action = Action.ENABLED if enabled else Action.DISABLED
    else:
        action = Action.UNCHANGED
    # What was on until now tells best what changes.
    replaced = max(there, key=is_enabled, default=None) if kept is None else None
    return Change(name, action, pinned, kept, replaced, superseded)


def _digest(recurring_run: Any) -> str | None:
    match = _MARK.search(recurring_run.description or "")
    return match["digest"] if match else None


def carry_out(server: Server, change: Change) -> None:
    """Do what a change says.

    Args:
        server: The server.
        change: The change.
    """
    if change.wanted is not None:
        kept = change.kept or _create(server, change.wanted)
        if is_enabled(kept) != change.wanted.schedule.enabled:
            server.set_enabled(kept.recurring_run_id, change.wanted.schedule.enabled)
    for recurring_run in change.superseded:
        server.delete_recurring_run(recurring_run.recurring_run_id)


def pause(server: Server, names: Sequence[str], dry_run: bool) -> list[str]:
    """Turn recurring runs of ours off, until the next time that the file is applied.

    Args:
        server: The server.
        names: Their names; none for all.
        dry_run: Whether to write nothing.

    Returns:
        The names of those that were on.

    Raises:
        InputError: None of ours has one of the names.
    """
    ours = [each for each in server.recurring_runs() if name_of(each)]
    known = sorted({str(name_of(each)) for each in ours})
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"name: {server.url} has no recurring run '{unknown[0]}' that was made by this command. Name one of:"
            f" {', '.join(known) or 'none'}."
        )
    on = [each for each in ours if is_enabled(each) and (not names or name_of(each) in names)]
    for each in on:
        if not dry_run:
            server.set_enabled(each.recurring_run_id, False)
    return sorted({str(name_of(each)) for each in on})


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
    """Return lines that tell what a change changes, as in `cron: 0 0 2 * * * -> 0 30 2 * * *`.

    Args:
        server: The server, asked for the names of versions.
        change: The change.
    """
    if change.wanted is None:
        return []
    schedule = change.wanted.schedule
    lines = []
    if change.replaced is not None:
        old, new = _told(server, change.replaced), _wanted(change.wanted)
        lines = [f"{key}: {old[key]} -> {new[key]}" for key in new if old[key] != new[key]]
    before = change.kept or change.replaced
    if before is not None and is_enabled(before) != schedule.enabled:
        lines.append(f"enabled: {_word(is_enabled(before))} -> {_word(schedule.enabled)}")
    left_over = len(change.superseded) - (change.replaced is not None)
    if left_over:
        lines.append(f"left over and deleted: {left_over}")
    return lines


def _wanted(pinned: Pinned) -> dict[str, str]:
    schedule = pinned.schedule
    told = {
        "version": pinned.version.name,
        "cron": schedule.cron,
        "parameters": json.dumps(schedule.parameters, sort_keys=True),
        "max_concurrency": str(schedule.max_concurrency),
        "no_catchup": _word(schedule.no_catchup),
        "experiment": schedule.experiment,
        "description": schedule.description,
    }
    # The server fills in its own if none is given.
    return told | ({"service_account": schedule.service_account} if schedule.service_account else {})


def _told(server: Server, recurring_run: Any) -> dict[str, str]:
    """Return what the server says of a recurring run, in the words of `_wanted`."""
    parameters = recurring_run.runtime_config.parameters if recurring_run.runtime_config else {}
    return {
        "version": version_name(server, recurring_run),
        "cron": cron_of(recurring_run),
        "parameters": json.dumps(parameters or {}, sort_keys=True),
        "max_concurrency": str(recurring_run.max_concurrency),
        "no_catchup": _word(bool(recurring_run.no_catchup)),
        "experiment": server.experiment_name(recurring_run.experiment_id),
        "description": _MARK.sub("", recurring_run.description or ""),
        "service_account": recurring_run.service_account or "",
    }


def cron_of(recurring_run: Any) -> str:
    """Return a recurring run's cron expression; empty if it has another trigger."""
    schedule = recurring_run.trigger.cron_schedule if recurring_run.trigger else None
    return str(schedule.cron) if schedule else ""


def version_name(server: Server, recurring_run: Any) -> str:
    """Return the name of the version that a recurring run is pinned to; empty if it is not pinned."""
    reference = recurring_run.pipeline_version_reference
    if reference is None or not reference.pipeline_version_id:
        return ""
    return server.version_name(reference.pipeline_id, reference.pipeline_version_id)


def _word(value: bool) -> str:
    return "true" if value else "false"
