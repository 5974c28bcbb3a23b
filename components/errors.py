"""The error that a user can mend."""


class InputError(ValueError):
    """Bad input, told in one sentence: the field or file first, the way out last."""
