"""What people are told."""

from dataclasses import dataclass

from components.notify.last_ingest import LastIngest

# Kubeflow's backend says COMPLETE where its documentation and kfp.local say SUCCEEDED.
_OUTCOMES = {"COMPLETE": "succeeded", "SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELLED": "was cancelled"}


@dataclass(frozen=True)
class RunEnd:
    """How a run ended, in the words of Kubeflow Pipelines.

    Attributes:
        run: Resource name of the run.
        state: `COMPLETE` or `SUCCEEDED`, `FAILED`, or another.
        error: Its error message; empty for none.
        pipeline: Name of the pipeline; empty if it is not known.
    """

    run: str
    state: str
    error: str = ""
    pipeline: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether all of its tasks did."""
        return _OUTCOMES.get(self.state) == "succeeded"


@dataclass(frozen=True)
class Message:
    """What people are told.

    Attributes:
        subject: One line, without control characters.
        sentences: Likewise, each.
    """

    subject: str
    sentences: tuple[str, ...]


def run_ended(end: RunEnd) -> Message:
    """Return the message on how a run ended."""
    outcome = _OUTCOMES.get(
        end.state, f"ended in the state '{end.state}'" if end.state else "ended in an unknown state"
    )
    name = f"{end.pipeline} (run {end.run})" if end.pipeline else f"Run {end.run}"
    sentences = [f"{name} {outcome}{': ' + end.error if end.error else '.'}"]
    if outcome == "failed":
        sentences.append("The log of the task that failed says why.")
    return Message(one_line(f"{end.pipeline or end.run} {outcome}"), tuple(map(one_line, sentences)))


def add_dry_source(message: Message, ingest: LastIngest) -> Message:
    """Return the message with the sentence that an ingest found no new image."""
    sentence = f"No new image was found in {ingest.source} (ingest of {ingest.finished_at:%Y-%m-%d %H:%M} UTC)."
    return Message(f"{message.subject}, no new image was found", (*message.sentences, one_line(sentence)))


def one_line(text: str) -> str:
    """Return a text with each run of white space and control characters as one blank."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
