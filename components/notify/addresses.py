"""E-mail addresses."""

import re

from components.errors import InputError
from components.notify.message import one_line

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST = 254


def parse_addresses(text: str, field: str) -> list[str]:
    """Return the addresses of a comma-separated list, each once.

    Args:
        text: The list.
        field: What the user calls it, for the error.

    Raises:
        InputError: One is no e-mail address, or there is none.
    """
    return list(dict.fromkeys(parse_address(part.strip(" "), field) for part in text.split(",")))


def parse_address(text: str, field: str) -> str:
    """Return an address, which is plain: no name, no quotes, ASCII only.

    Args:
        text: The address.
        field: What the user calls it, for the error.

    Raises:
        InputError: It is none.
    """
    if len(text) > _LONGEST or not _ADDRESS.fullmatch(text):
        raise InputError(f"{field}: '{one_line(text)}' is no e-mail address. Write it as name@example.com.")
    return text
