"""E-mail addresses."""

import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_MAXIMUM_CHARACTERS = 254


def parse_addresses(text: str) -> list[str]:
    """Return the addresses of a comma-separated list, each once.

    Raises:
        ValueError: An item is not an e-mail address, or the list is empty.
    """
    return list(dict.fromkeys(parse_address(part.strip(" ")) for part in text.split(",")))


def parse_address(text: str) -> str:
    """Return an e-mail address unchanged if it is valid: ASCII, without a name and without quotes.

    Raises:
        ValueError: The text is not such an address.
    """
    if len(text) > _MAXIMUM_CHARACTERS or not _ADDRESS.fullmatch(text):
        shown = "".join(character if character.isprintable() else " " for character in text)
        raise ValueError(f"'{shown}' is not an e-mail address. Write it as name@example.com.")
    return text
