"""The error that a user can mend, and the check of shares, which many fields are."""

from collections.abc import Mapping


class InputError(ValueError):
    """Bad input, told in one sentence: the field or file first, the way out last."""


def check_shares(shares: Mapping[str, float]) -> None:
    """Refuse shares that are not within 0 and 1.

    Args:
        shares: By the names of their fields.

    Raises:
        InputError: One of them is not.
    """
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise InputError(f"{name}: {value:g} is not within 0..1. Give a share of 1, as in 0.1 for a tenth.")
