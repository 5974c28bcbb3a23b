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


@dataclass(frozen=True)
class Message:
    """What people are told, without control characters.

    Attributes:
        subject: One line.
        sentences: Each is one line.
    """

    subject: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences, one a line."""
        return "\n".join(self.sentences)


def compose(end: RunEnd, ingest: LastIngest | None) -> Message:
    """Return what people are told of a run.

    Args:
        end: How it ended.
        ingest: Outcome of its ingest; None if there was none or nothing is known of it.
    """
    outcome = _OUTCOMES.get(
        end.state, f"ended in the state '{end.state}'" if end.state else "ended in an unknown state"
    )
    name = f"{end.pipeline} (run {end.run})" if end.pipeline else f"run {end.run}"
    subject = f"{end.pipeline or end.run} {outcome}"
    sentences = [f"{name} {outcome}{': ' + end.error if end.error else '.'}"]
    if outcome != "succeeded":
        sentences.append("The log of the task that failed says why.")
    if ingest is not None and ingest.found == 0:
        subject += ", no new image was found"
        sentences.append(
            f"No new image was found in {ingest.source} (ingest of {ingest.finished_at:%Y-%m-%d %H:%M} UTC)."
        )
    return Message(one_line(subject), tuple(one_line(sentence) for sentence in sentences))


def one_line(text: str) -> str:
    """Return a text with each run of white space and control characters as one blank."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
