"""Register a model, and make it the champion if that was decided and still holds.

A decision is carried out once: a task that is repeated, even after a later model became the champion, changes nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from components.build_training_set.training_set import TrainingSet
from components.register_model.champion import KEPT, PROMOTED, ROLLED_BACK, champion_lock, crown
from components.register_model.registry import (
    ACCURACY_TAG,
    CHALLENGER,
    COMPARED_WITH_TAG,
    DECIDED_BY_TAG,
    DECISION_TAG,
    DIGEST_TAG,
    GATE_REASON_TAG,
    REASON_TAG,
    RUN_TAG,
    TRAINING_SET_ID_TAG,
    TRAINING_SET_URI_TAG,
    ModelRegistry,
    RegisteredVersion,
)
from components.settings import Settings

_GATE = "gate"


@dataclass(frozen=True)
class Candidate:
    """A trained model, and what evaluate_classifier decided about it.

    Attributes:
        run_id: MLflow run that trained it.
        model_uri: The logged model.
        digest: SHA-256 of its SavedModel.
        training_set: URI of the training set.
        accuracy: On the test images, 0..1.
        promote: Whether it shall become the champion.
        reason: Why, or why not.
        compared_with: Version of the champion that it was compared with; empty if there was none.
    """

    run_id: str
    model_uri: str
    digest: str
    training_set: str
    accuracy: float
    promote: bool
    reason: str
    compared_with: str


@dataclass(frozen=True)
class Registration:
    """What became of a candidate.

    Attributes:
        version: Its version in the registry.
        promoted: Whether it is the champion.
    """

    version: str
    promoted: bool


def register(settings: Settings, candidate: Candidate) -> Registration:
    """Make a version of a model, the challenger, and the champion if that was decided.

    Args:
        settings: Name the registry, the model, and the lake, whose lock keeps two registrations apart.
        candidate: The model.

    Raises:
        InputError: There is no such model or training set.
        TimeoutError: Someone else moves the champion for longer than a step waits.
    """
    registry = ModelRegistry.open(settings)
    with champion_lock(settings) as check:
        return register_candidate(registry, candidate, check)


def register_candidate(
    registry: ModelRegistry, candidate: Candidate, check: Callable[[], None] = lambda: None
) -> Registration:
    """Do what `register` does, in a registry that is open. The caller holds the lock; `check` raises if it was lost."""
    origin = {
        DIGEST_TAG: candidate.digest,
        RUN_TAG: candidate.run_id,
        TRAINING_SET_URI_TAG: candidate.training_set,
        TRAINING_SET_ID_TAG: TrainingSet.read(candidate.training_set).id,
    }
    version = registry.find_version(candidate.run_id, candidate.digest)
    if version is None:
        version = registry.create_version(candidate.run_id, candidate.model_uri, origin)
    champion = registry.champion()
    is_champion = champion is not None and champion.version == version.version
    if _is_carried_out(version, candidate):
        return Registration(version.version, is_champion)

    registry.set_alias(CHALLENGER, version.version)
    if is_champion:
        # A task that was cut off between alias and tags promoted it, and writes its tags now. One that compares the
        # champion with itself leaves standing why it is the champion.
        if candidate.promote:
            registry.set_tags(version.version, _decision(candidate, PROMOTED, candidate.reason))
        return Registration(version.version, promoted=True)
    champion_version = champion.version if champion else ""
    if candidate.promote and champion_version == candidate.compared_with:
        crown(registry, version.version, check)
        registry.set_tags(version.version, _decision(candidate, PROMOTED, candidate.reason))
        return Registration(version.version, promoted=True)
    reason = _superseded(champion_version, candidate.compared_with) if candidate.promote else candidate.reason
    registry.set_tags(version.version, _decision(candidate, KEPT, reason))
    return Registration(version.version, promoted=False)


def _is_carried_out(version: RegisteredVersion, candidate: Candidate) -> bool:
    """Tell whether the decision is on record. What a person decided since, such as to roll it back, stays."""
    tags = version.tags
    if DECISION_TAG not in tags or tags.get(COMPARED_WITH_TAG) != candidate.compared_with:
        return False
    if candidate.promote:
        return tags[DECISION_TAG] in (PROMOTED, ROLLED_BACK)
    return tags.get(GATE_REASON_TAG) == candidate.reason


def _decision(candidate: Candidate, decision: str, reason: str) -> dict[str, str]:
    return {
        REASON_TAG: reason,
        # A person's decision has a reason of its own; this one stays.
        GATE_REASON_TAG: reason,
        DECIDED_BY_TAG: _GATE,
        ACCURACY_TAG: repr(candidate.accuracy),
        COMPARED_WITH_TAG: candidate.compared_with,
        # Last: with it, the decision counts as carried out.
        DECISION_TAG: decision,
    }


def _superseded(champion: str, compared_with: str) -> str:
    now = f"version {champion} is the champion" if champion else "there is no champion any more"
    then = f"version {compared_with}" if compared_with else "no champion"
    return f"{now}, but it was compared with {then}; evaluate it again"
