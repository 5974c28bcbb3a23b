"""The interface of launchers, which start the ranks of a training."""

from typing import Protocol


class AdoptedJobFailed(RuntimeError):  # noqa: N818 - the name states what happened
    """The job of an earlier attempt failed. A new job may succeed."""


class RankKilled(RuntimeError):  # noqa: N818 - the name states what happened
    """A rank was ended from outside, e.g. by Kubernetes or for a stall. The errors of other ranks are consequences.

    Args:
        message: The reason.
        transient: Whether a retry may succeed, e.g. on another node.
    """

    def __init__(self, message: str, transient: bool = False) -> None:
        super().__init__(message)
        self.transient = transient


class Launcher(Protocol):
    """Starts the ranks of a training, and waits until they end.

    The caller holds the training's lock, and calls `clean_up` when the training ends, even after an error.
    """

    def launch(self, request_uri: str, ranks: int) -> None:
        """Run a training to its end.

        Args:
            request_uri: URI of the `TrainingRequest`, which all ranks can read.
            ranks: Number of ranks.

        Raises:
            AdoptedJobFailed: The job of an earlier attempt failed.
            RankKilled: A rank was ended from outside, or the training made no progress for the stall timeout.
            RuntimeError: A rank failed.
        """

    def clean_up(self, request_uri: str) -> bool:
        """Stop all ranks that any attempt left running, and return whether they ended.

        The record of the job stays in the training's folder. Idempotent.

        Args:
            request_uri: URI of the `TrainingRequest`, which may not exist.
        """
