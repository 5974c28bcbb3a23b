"""Register a model, and carry out the gate's decision about it.

A candidate replaces only the champion that it was compared with.

Registration is idempotent: a repeated task changes nothing, even after a later model became the champion.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from components.registry.champion import NOT_PROMOTED, PROMOTED, ROLLED_BACK, champion_lock, replace_champion
from components.registry.model_registry import CHALLENGER, ModelRegistry, RegisteredVersion
from components.registry.tags import (
    ACCURACY_TAG,
    COMPARED_WITH_TAG,
    DECIDED_BY_TAG,
    DECISION_TAG,
    DIGEST_TAG,
    GATE_REASON_TAG,
    REASON_TAG,
    RUN_TAG,
    TRAINING_SET_ID_TAG,
    TRAINING_SET_URI_TAG,
)
from components.run_notes import ModelNote, write_run_note
from components.settings import Settings
from components.storage.files import Files
from components.training_set.manifest import TrainingSet

_GATE = "gate"


@dataclass(frozen=True)
class Candidate:
    """A trained model and the decision of evaluate_classifier.

    Attributes:
        run_id: MLflow run that trained the model.
        model_uri: URI of the logged model.
        digest: SHA-256 of its SavedModel.
        training_set: URI of the training set.
        accuracy: Accuracy on the test images, 0..1.
        promote: Whether the gate promotes the model.
        reason: Reason for the decision.
        compared_with: Version of the champion in the comparison; empty if there was no champion.
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
    """The registered version of a candidate.

    Attributes:
        version: Number of the version.
        promoted: Whether the version is the champion.
        reason: Reason why the version is the champion, or why it is not.
    """

    version: str
    promoted: bool
    reason: str = field(default="", compare=False)


def register(settings: Settings, candidate: Candidate) -> Registration:
    """Register a model as the challenger, and promote it if the gate decided so.

    Args:
        settings: Settings that name the registry, the model, and the lake, whose lock serializes registrations.
        candidate: The model and the gate's decision.

    Raises:
        InputError: The model or the training set does not exist.
        TimeoutError: Another process holds the champion's lock for longer than the setting `lock_timeout_seconds`.
        LockLost: The lock was lost.
    """
    registry = ModelRegistry.open(settings)
    with champion_lock(settings) as check:
        registered = register_candidate(registry, candidate, Files.of(settings), check)
    note = ModelNote(
        version=registered.version,
        promoted=registered.promoted,
        reason=registered.reason,
        accuracy=candidate.accuracy,
    )
    write_run_note(settings, note)
    return registered


def register_candidate(
    registry: ModelRegistry, candidate: Candidate, files: Files, check: Callable[[], None] = lambda: None
) -> Registration:
    """Register a model as `register` does, in an open registry.

    `files` has access to the training set. The caller holds the champion's lock, and `check` raises an error if it was
    lost.
    """
    origin = {
        DIGEST_TAG: candidate.digest,
        RUN_TAG: candidate.run_id,
        TRAINING_SET_URI_TAG: candidate.training_set,
        TRAINING_SET_ID_TAG: TrainingSet.read(candidate.training_set, files).id,
    }
    version = registry.find_version(candidate.run_id, candidate.digest)
    if version is None:
        version = registry.create_version(candidate.run_id, candidate.model_uri, origin)
    champion = registry.champion()
    is_champion = champion is not None and champion.version == version.version
    if _is_carried_out(version, candidate):
        return Registration(version.version, is_champion, version.tags.get(REASON_TAG, candidate.reason))

    registry.set_alias(CHALLENGER, version.version)
    if is_champion:
        # An earlier attempt may have moved the alias without writing the tags. But if the champion was compared with
        # itself, its tags still give the reason for its promotion.
        if candidate.promote:
            registry.set_tags(version.version, _decision_tags(candidate, PROMOTED, candidate.reason))
        return Registration(version.version, promoted=True, reason=candidate.reason)
    champion_version = champion.version if champion else ""
    if candidate.promote and champion_version == candidate.compared_with:
        replace_champion(registry, version.version, check)
        registry.set_tags(version.version, _decision_tags(candidate, PROMOTED, candidate.reason))
        return Registration(version.version, promoted=True, reason=candidate.reason)
    reason = _superseded(champion_version, candidate.compared_with) if candidate.promote else candidate.reason
    registry.set_tags(version.version, _decision_tags(candidate, NOT_PROMOTED, reason))
    return Registration(version.version, promoted=False, reason=reason)


def _is_carried_out(version: RegisteredVersion, candidate: Candidate) -> bool:
    """Return whether an earlier attempt carried out this decision.

    Doing so again could undo a later decision of a person, e.g. a rollback.
    """
    tags = version.tags
    if DECISION_TAG not in tags or tags.get(COMPARED_WITH_TAG) != candidate.compared_with:
        return False
    if candidate.promote:
        return tags[DECISION_TAG] in (PROMOTED, ROLLED_BACK)
    return tags.get(GATE_REASON_TAG) == candidate.reason


def _decision_tags(candidate: Candidate, decision: str, reason: str) -> dict[str, str]:
    return {
        REASON_TAG: reason,
        # A person's later decision overwrites the reason above, but not this one.
        GATE_REASON_TAG: reason,
        DECIDED_BY_TAG: _GATE,
        ACCURACY_TAG: repr(candidate.accuracy),
        COMPARED_WITH_TAG: candidate.compared_with,
        # Last, because `_is_carried_out` relies on it.
        DECISION_TAG: decision,
    }


def _superseded(champion: str, compared_with: str) -> str:
    """Return why a challenger does not replace a champion that it was not compared with."""
    comparison = (
        f"it was compared with version {compared_with}" if compared_with else "it was evaluated without a champion"
    )
    current = f"version {champion} is the champion now" if champion else "there is no champion now"
    return f"{comparison}, but {current}; evaluate it again"
