"""Errors that the user can fix, and errors that a retry may fix."""


class InputError(ValueError):
    """Bad input that the user can fix. The message names the field or file first, and the remedy last."""


class TransientError(RuntimeError):
    """A failure that a retry may fix, e.g. an unreachable or overloaded server, or a lost lock."""
