"""Decide by its name whether a file is an image to ingest."""

import re
from dataclasses import dataclass, field

from components.errors import InputError
from components.ingest_images.discovery.counts import DiscoveryCounts

HIDDEN_PREFIXES = ("_", ".")


def compile_glob(glob: str) -> re.Pattern[str]:
    r"""Return the regular expression of a glob that ignores case.

    The syntax is Hadoop's: `*`, `?`, `[a-z]`, `[!a]` or `[^a]`, `{jpg,png}`, and `\` before a literal character.

    Args:
        glob: Pattern of a file name.

    Raises:
        InputError: A bracket or brace is not closed.
    """
    parts = []
    depth = 0
    position = 0
    while position < len(glob):
        character = glob[position]
        if character == "\\" and position + 1 < len(glob):
            position += 1
            parts.append(re.escape(glob[position]))
        elif character == "[":
            end = glob.find("]", position + 2)
            if end < 0:
                raise InputError(f"glob: '{glob}' has a '[' without ']'. Close it, or write \\[ for the character.")
            negated = glob[position + 1] in "!^"
            characters = re.sub(r"[\\\[\]^&~|]", r"\\\g<0>", glob[position + 1 + negated : end])
            parts.append(f"[{'^' * negated}{characters}]")
            position = end
        elif character == "{":
            depth += 1
            parts.append("(?:")
        elif character == "}" and depth:
            depth -= 1
            parts.append(")")
        elif character == "," and depth:
            parts.append("|")
        else:
            parts.append({"*": ".*", "?": "."}.get(character) or re.escape(character))
        position += 1
    if depth:
        raise InputError(f"glob: '{glob}' has a '{{' without '}}'. Close it, or write \\{{ for the character.")
    try:
        return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise InputError(f"glob: '{glob}' is malformed ({error}). Write e.g. *.jpg.") from None


@dataclass
class NameFilter:
    """Select the names of images, and count all others.

    Attributes:
        glob: Pattern of the file names.
        counts: Receives the counts.
    """

    glob: str
    counts: DiscoveryCounts
    _pattern: re.Pattern[str] = field(init=False)
    _hidden: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._pattern = compile_glob(self.glob)

    def accepts(self, name: str) -> bool:
        """Return whether a file is an image to ingest. Counts it if not.

        Args:
            name: Path relative to the landing folder.
        """
        if hidden := hidden_prefix(name):
            # The keys of a hidden folder follow each other in a listing, so one count needs only the last folder.
            if hidden != self._hidden:
                self._hidden = hidden
                self.counts.hidden += 1
            return False
        if not self._pattern.fullmatch(name.rpartition("/")[2]):
            self.counts.add_suffix(name)
            return False
        return True


def hidden_prefix(name: str) -> str:
    """Return a path up to its first hidden file or folder; empty if nothing in it is hidden.

    Args:
        name: Path relative to the landing folder.
    """
    if not name.startswith(HIDDEN_PREFIXES) and "/_" not in name and "/." not in name:
        return ""
    segments = name.split("/")
    for index, segment in enumerate(segments):
        if segment.startswith(HIDDEN_PREFIXES):
            return "/".join(segments[: index + 1]) + "/" * (index + 1 < len(segments))
    return ""
