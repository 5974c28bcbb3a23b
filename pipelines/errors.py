"""The error that ends a command whose run did not succeed."""


class RunFailed(RuntimeError):  # noqa: N818 - reads as what happened, like subprocess.TimeoutExpired
    """A run failed, on this machine or on a server.

    The message names the failed task and its error, if they are known, and the log or the page of the run.
    """
