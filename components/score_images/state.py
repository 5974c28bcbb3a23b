"""Keep the state of scoring between runs, so that a run does not look at older images again."""

from datetime import datetime

from pydantic import BaseModel

from components.lake import Lake
from components.storage.notes import read_note, write_note
from components.succession import Succession

NAME = "score_images"


class ModelState(BaseModel):
    """The progress of a registered model.

    Attributes:
        scored_until: Watermark, in UTC: images that were ingested until then are no longer new. None if all are new.
        searched: Digests of the succession that has scored all older images it had to. Empty if there may be some left.
    """

    scored_until: datetime | None = None
    searched: tuple[str, ...] = ()


class ScoringState(BaseModel):
    """State that scoring runs share through a note in the lake.

    If the note is lost, the next run looks at all images of the lake once, and predictions do not change.

    Attributes:
        models: Progress by registered model.
    """

    models: dict[str, ModelState] = {}


def read_state(lake: Lake, model_name: str) -> ModelState:
    """Return the progress of a registered model."""
    return _read(lake).models.get(model_name, ModelState())


def begin(lake: Lake, succession: Succession) -> bool:
    """Record that the succession may leave unscored images, and return whether it has scored all older ones.

    Call this before its first prediction is written. If the run is interrupted, a rollback may withdraw its predictions
    before the next run, and then the next run has to search for unscored images.
    """
    state = read_state(lake, succession.model_name)
    if state.searched == _digests(succession):
        return True
    if state.searched:
        _write(lake, succession, state.model_copy(update={"searched": ()}))
    return False


def advance(lake: Lake, succession: Succession, scored_until: datetime) -> None:
    """Move the watermark forward, after the predictions of all images until then were committed.

    Args:
        lake: The lake.
        succession: The succession that scored them.
        scored_until: The new watermark. An earlier time than the present one changes nothing.
    """
    state = read_state(lake, succession.model_name)
    if state.scored_until is None or state.scored_until < scored_until:
        _write(lake, succession, state.model_copy(update={"scored_until": scored_until}))


def finish(lake: Lake, succession: Succession) -> None:
    """Record that the succession has scored all older images."""
    state = read_state(lake, succession.model_name)
    _write(lake, succession, state.model_copy(update={"searched": _digests(succession)}))


def _digests(succession: Succession) -> tuple[str, ...]:
    return tuple(version.digest for version in succession.versions)


def _read(lake: Lake) -> ScoringState:
    # The note of an earlier release has none of these fields.
    return read_note(lake.root, NAME, ScoringState, lake.files) or ScoringState()


def _write(lake: Lake, succession: Succession, state: ModelState) -> None:
    progress = ScoringState(models={**_read(lake).models, succession.model_name: state})
    write_note(lake.root, NAME, progress, lake.files)
