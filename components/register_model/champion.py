"""The champion's place: who takes it, and who had it before.

MLflow has no compare-and-set of an alias: two that look at the same champion could both replace it. So whoever moves
the champion holds a lock meanwhile, from looking at it to replacing it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.errors import InputError
from components.lake.lock import writer_lock
from components.register_model.registry import (
    CHAMPION,
    DECIDED_BY_TAG,
    DECISION_TAG,
    REASON_TAG,
    ModelRegistry,
    RegisteredVersion,
)
from components.settings import Settings
from components.storage import uri

PROMOTED = "promoted"
KEPT = "kept"
ROLLED_BACK = "rolled back"

# Enough to go back; what is older is in the versions' tags.
_REMEMBERED = 50


@contextmanager
def champion_lock(settings: Settings) -> Iterator[Callable[[], None]]:
    """Keep all others from moving the champion of the settings' model, and yield a function to call before it is moved.

    Raises:
        InputError: The settings name no lake or no model.
        TimeoutError: Someone else moves it for longer than a step waits.
        LockLost: The lock was lost meanwhile, here or where the function is called.
    """
    root = uri.normalize(settings.required("lake"), "lake")
    name = f"champion-{uri.digest(settings.required('model_name'))}"
    with writer_lock(root, name, settings.lock_timeout_seconds, settings.lock) as check:
        yield check


def crown(registry: ModelRegistry, version: str, check: Callable[[], None] = lambda: None) -> None:
    """Make a version the champion, and remember who was it before. The caller holds the lock.

    Args:
        registry: The registry.
        version: A version that is not the champion.
        check: Raises if the lock was lost.
    """
    # Memory first: cut off in between, it names one after the champion, and that is left out when it is read.
    registry.set_champions([*_succession(registry), version][-_REMEMBERED:])
    check()
    registry.set_alias(CHAMPION, version)


def promote(
    registry: ModelRegistry,
    version: str,
    expected: str,
    reason: str,
    person: str,
    check: Callable[[], None] = lambda: None,
) -> RegisteredVersion:
    """Make a version the champion because a person says so. The caller holds the lock.

    Args:
        registry: The registry.
        version: Its number.
        expected: Version that the person takes for the champion; empty for none.
        reason: The person's.
        person: Who it is.
        check: Raises if the lock was lost.

    Returns:
        The new champion.

    Raises:
        InputError: There is no such version, it can't score or is the champion already, or another one than expected
            is the champion.
    """
    wanted = registry.version(version)
    if not wanted.digest:
        raise InputError(
            f"version: no digest is known of version {version}, so its files can't be checked and it can't score."
            " Register the model by register_model."
        )
    current = _require(registry, expected)
    if current == wanted.version:
        raise InputError(f"version: {version} is the champion already. Name another one.")
    crown(registry, wanted.version, check)
    registry.set_tags(wanted.version, _decided(PROMOTED, reason, person))
    return registry.version(wanted.version)


def previous_champion(registry: ModelRegistry) -> RegisteredVersion:
    """Return the version that was the champion before the one of now.

    Raises:
        InputError: There is no champion, none is known before it, or its version was deleted.
    """
    succession = _succession(registry)
    if not succession:
        raise InputError("champion: there is none to roll back from. Promote a version by its number.")
    if len(succession) == 1:
        raise InputError(
            f"champion: no champion is known before version {succession[0]}. Promote another version by its number."
        )
    return registry.version(succession[-2])


def roll_back(
    registry: ModelRegistry, expected: str, reason: str, person: str, check: Callable[[], None] = lambda: None
) -> RegisteredVersion:
    """Make the version the champion again that was it before. The caller holds the lock.

    Done again, it goes back one more.

    Args:
        registry: The registry.
        expected: Version that the person takes for the champion.
        reason: The person's.
        person: Who it is.
        check: Raises if the lock was lost.

    Returns:
        The champion of now.

    Raises:
        InputError: See `previous_champion`; or another version than expected is the champion.
    """
    current = _require(registry, expected)
    previous = previous_champion(registry)
    succession = _succession(registry)
    check()
    # First what keeps a repeated task from promoting it again, last the memory: until then, it is read alike.
    registry.set_tags(current, _decided(ROLLED_BACK, reason, person))
    registry.set_alias(CHAMPION, previous.version)
    registry.set_champions(succession[:-1])
    return previous


def _succession(registry: ModelRegistry) -> list[str]:
    """Return the champions, oldest first and without those that were rolled back; the last one is that of now."""
    champion = registry.champion()
    if champion is None:
        return []
    known = registry.champions()
    if champion.version not in known:
        return [*known, champion.version]
    return known[: len(known) - known[::-1].index(champion.version)]


def _require(registry: ModelRegistry, expected: str) -> str:
    """Return the champion's version, empty for none, if it is the one expected."""
    champion = registry.champion()
    current = champion.version if champion else ""
    if current != expected:
        now, then = (
            f"version {each} is the champion" if each else "there is no champion" for each in (current, expected)
        )
        raise InputError(f"champion: {now} by now, not as expected: {then}. Look at it, and decide again.")
    return current


def _decided(decision: str, reason: str, person: str) -> dict[str, str]:
    return {REASON_TAG: reason, DECIDED_BY_TAG: person, DECISION_TAG: decision}
