"""Promote and roll back the champion, and list its predecessors.

The alias `champion` is the source of truth. Two tags of the registered model supplement it: the history of champions,
which a rollback shortens, and the former champions that rollbacks withdrew. MLflow can't write the alias and the tags
atomically. Therefore every reader accepts the state that an interrupted promotion or rollback leaves.

MLflow has no compare-and-set for aliases, so two processes that read the same champion could both replace it.
Therefore a process holds a lock from reading the champion until it has replaced it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from components.errors import InputError
from components.lock import writer_lock
from components.registry.model_registry import CHAMPION, ModelRegistry, RegisteredVersion
from components.registry.tags import DECIDED_BY_TAG, DECISION_TAG, REASON_TAG
from components.settings import Settings
from components.storage import uri
from components.succession import MAXIMUM_PREDECESSORS, ModelVersion, Succession

PROMOTED = "promoted"
NOT_PROMOTED = "kept"
ROLLED_BACK = "rolled back"

# Maximum number of champions in the history. The versions' tags record older decisions.
_MAXIMUM_HISTORY = 50


@contextmanager
def champion_lock(settings: Settings) -> Iterator[Callable[[], None]]:
    """Hold the lock of a model's champion, and yield a function that checks the lock.

    Call that function right before you replace the champion.

    Args:
        settings: Settings that name the model, and the lake that contains the lock.

    Raises:
        InputError: The settings name no lake or no model.
        TimeoutError: Another process holds the lock for longer than the setting `lock_timeout_seconds`.
        LockLost: The lock was lost. The yielded function raises it too.
    """
    root = uri.normalize(settings.required("lake"), "lake")
    name = lock_name(settings.required("model_name"))
    with writer_lock(root, name, settings.lock_timeout_seconds, settings.lock) as check:
        yield check


def lock_name(model_name: str) -> str:
    """Return the name of the lock of a registered model's champion."""
    return f"champion-{uri.digest(model_name)}"


def require_champion(registry: ModelRegistry) -> RegisteredVersion:
    """Return the champion, or raise an error if the model has none.

    Raises:
        InputError: The model has no champion.
    """
    champion = registry.champion()
    if champion is None:
        raise InputError(
            f"model_name: '{registry.model_name}' has no champion. Run the training pipeline, or promote a version."
        )
    return champion


def read_succession(registry: ModelRegistry, champion: RegisteredVersion | None) -> Succession:
    """Return the versions whose predictions count.

    A former champion that was deleted from the registry has no digest there, so its predictions do not count.

    Args:
        registry: The registry of the model.
        champion: The champion. If None, the succession is empty and no prediction counts.
    """
    if champion is None:
        return Succession(registry.model_name, ())
    withdrawn = registry.withdrawn()
    former = dict.fromkeys(reversed(_champions_until(registry, champion)))
    numbers = (number for number in former if number not in {champion.version, *withdrawn})
    predecessors = (version for number in numbers if (version := registry.find(number)) is not None)
    versions = (champion, *islice(predecessors, MAXIMUM_PREDECESSORS))
    return Succession(registry.model_name, tuple(ModelVersion(each.version, each.digest) for each in versions))


def restorable_versions(registry: ModelRegistry) -> set[str]:
    """Return the champion, the challenger, and the former champions that a rollback can restore.

    A version that an interrupted promotion has added to the history counts, too.

    Args:
        registry: The registry of an existing model.
    """
    withdrawn = registry.withdrawn()
    former = {version for version in registry.champions() if version not in withdrawn}
    return former | {each.version for each in (registry.champion(), registry.challenger()) if each is not None}


def is_champion_recorded(registry: ModelRegistry) -> bool:
    """Return whether the history ends with the champion.

    It does not after somebody moved the alias in MLflow itself, or after an interrupted promotion or rollback.
    """
    champion = registry.champion()
    return champion is None or registry.champions()[-1:] == [champion.version]


def record_champion(registry: ModelRegistry) -> None:
    """Make the history end with the champion.

    The caller holds the lock.

    This matters after somebody moved the alias in MLflow itself. A move to a former champion counts as a rollback, any
    other move as a promotion.
    """
    if not is_champion_recorded(registry):
        champions = _history(registry)
        registry.set_champions(champions[-_MAXIMUM_HISTORY:])
        _reinstate(registry, champions[-1])


def replace_champion(registry: ModelRegistry, version: str, check: Callable[[], None] = lambda: None) -> None:
    """Make a version the champion, and add it to the history.

    The caller holds the lock.

    Args:
        registry: The registry of the model.
        version: Number of a version that is not the champion.
        check: Function that raises an error if the lock was lost.
    """
    record_champion(registry)
    # The history first: if the alias is not moved afterwards, readers ignore entries after the champion.
    registry.set_champions([*_history(registry), version][-_MAXIMUM_HISTORY:])
    check()
    registry.set_alias(CHAMPION, version)
    _reinstate(registry, version)


def promote(
    registry: ModelRegistry,
    version: str,
    expected: str,
    reason: str,
    person: str,
    check: Callable[[], None] = lambda: None,
) -> RegisteredVersion:
    """Make a version the champion because a person decided so.

    The caller holds the lock.

    Args:
        registry: The registry of the model.
        version: Number of the version.
        expected: Version that the person expects to be the champion; empty if the person expects none.
        reason: Reason for the decision, stored in the version's tags.
        person: Name of the person, stored in the version's tags.
        check: Function that raises an error if the lock was lost.

    Returns:
        The new champion.

    Raises:
        InputError: The version does not exist, has no digest or is already the champion, or the champion is not the
            expected version.
    """
    promoted = registry.version(version)
    if not promoted.digest:
        raise InputError(
            f"version: version {version} has no digest, so its files can't be verified. Register the model with"
            " register_model."
        )
    current = _require_expected_champion(registry, expected)
    if current == promoted.version:
        raise InputError(f"version: version {version} is already the champion. Name another version.")
    replace_champion(registry, promoted.version, check)
    registry.set_tags(promoted.version, _decision_tags(PROMOTED, reason, person))
    return registry.version(promoted.version)


def previous_champion(registry: ModelRegistry) -> RegisteredVersion:
    """Return the champion that a rollback restores.

    This is the newest former champion that was not withdrawn.

    Raises:
        InputError: The model has no champion, the history has no such former champion, or its version was deleted.
    """
    return registry.version(_champions_after_rollback(registry)[-1])


def roll_back(
    registry: ModelRegistry, expected: str, reason: str, person: str, check: Callable[[], None] = lambda: None
) -> RegisteredVersion:
    """Restore the previous champion, and withdraw the current one.

    The caller holds the lock.

    The predictions of a withdrawn version do not count until the version is promoted again. No rollback restores a
    withdrawn version, so a second rollback restores an earlier champion.

    Args:
        registry: The registry of the model.
        expected: Version that the person expects to be the champion.
        reason: Reason for the decision, stored in the withdrawn version's tags.
        person: Name of the person, stored in the withdrawn version's tags.
        check: Function that raises an error if the lock was lost.

    Returns:
        The restored champion.

    Raises:
        InputError: The champion is not the expected version, or there is no previous champion; see `previous_champion`.
    """
    current = _require_expected_champion(registry, expected)
    previous = previous_champion(registry)
    champions = _champions_after_rollback(registry)
    check()
    # The tags first: they keep a repeated register_model from promoting the version again. The history last: until
    # then, readers ignore entries after the champion.
    registry.set_tags(current, _decision_tags(ROLLED_BACK, reason, person))
    if current in champions:
        # The version was champion twice. The history still contains its first time.
        registry.set_withdrawn([*registry.withdrawn(), current])
    registry.set_alias(CHAMPION, previous.version)
    registry.set_champions(champions)
    return previous


def _champions_after_rollback(registry: ModelRegistry) -> list[str]:
    """Return the history that a rollback leaves, oldest first.

    The last version becomes the champion.

    Raises:
        InputError: The model has no champion, or no former champion that was not withdrawn.
    """
    history = _history(registry)
    if not history:
        raise InputError("champion: the model has no champion to roll back. Promote a version by its number.")
    *earlier, current = history
    withdrawn = {current, *registry.withdrawn()}
    while earlier and earlier[-1] in withdrawn:
        earlier.pop()
    if not earlier:
        reason = (
            f"all champions before version {current} were rolled back"
            if len(history) > 1
            else f"version {current} is the first champion on record"
        )
        raise InputError(f"champion: {reason}. Promote another version by its number.")
    return earlier


def _reinstate(registry: ModelRegistry, version: str) -> None:
    """End the withdrawal of a version that became the champion."""
    withdrawn = registry.withdrawn()
    if version in withdrawn:
        registry.set_withdrawn([other for other in withdrawn if other != version])


def _history(registry: ModelRegistry) -> list[str]:
    """Return the history up to the current champion, oldest first."""
    champion = registry.champion()
    return [] if champion is None else _champions_until(registry, champion)


def _champions_until(registry: ModelRegistry, champion: RegisteredVersion) -> list[str]:
    """Return the history up to and including a champion, oldest first."""
    history = registry.champions()
    if champion.version not in history:
        return [*history, champion.version]
    return history[: len(history) - history[::-1].index(champion.version)]


def _require_expected_champion(registry: ModelRegistry, expected: str) -> str:
    """Return the champion's version, or raise an error if it is not as expected.

    An empty version stands for no champion.
    """
    champion = registry.champion()
    current = champion.version if champion else ""
    if current != expected:
        found = f"version {current} is the champion" if current else "the model has no champion"
        expectation = f"version {expected}" if expected else "no champion"
        raise InputError(f"champion: {found}, but {expectation} was expected. Check the versions, and decide again.")
    return current


def _decision_tags(decision: str, reason: str, person: str) -> dict[str, str]:
    return {REASON_TAG: reason, DECIDED_BY_TAG: person, DECISION_TAG: decision}
