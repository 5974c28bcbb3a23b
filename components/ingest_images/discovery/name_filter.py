"""Decide by its name whether a file is an image to ingest."""

import re
from dataclasses import dataclass, field

from components.errors import InputError
from components.ingest_images.discovery.counts import DiscoveryCounts, suffix_of
from components.parameters.ingest import IMAGE_SUFFIXES

_HIDDEN_PREFIXES = ("_", ".")
# Files and folders of operating systems and network drives, in lower case. Others begin with a hidden prefix.
_OF_SYSTEMS = frozenset(
    (
        *("thumbs.db", "thumbs.db:encryptable", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r"),
        *("$recycle.bin", "system volume information", "lost+found", "@eadir", "@tmp", "#recycle", "#snapshot"),
    )
)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, unfinished, or of an operating system.

    Args:
        name: Name without its folder.
    """
    return name.startswith(_HIDDEN_PREFIXES) or name.lower() in _OF_SYSTEMS


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
        glob: Pattern of the file names; empty for the suffixes of image formats.
        counts: Receives the counts.
    """

    glob: str
    counts: DiscoveryCounts
    _pattern: re.Pattern[str] | None = field(init=False)
    # The files of a folder follow each other in a listing.
    _folder: str = field(init=False, default="")
    _is_folder_hidden: bool = field(init=False, default=False)
    _hidden: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._pattern = compile_glob(self.glob) if self.glob else None

    def accepts(self, name: str) -> bool:
        """Return whether a file is an image to ingest. Counts it if not.

        Args:
            name: Path relative to the landing folder.
        """
        folder, _, file = name.rpartition("/")
        if folder != self._folder:
            self._folder = folder
            self._enter(folder)
        if self._is_folder_hidden:
            return False
        if is_hidden(file):
            self.counts.hidden += 1
            return False
        if not self._matches(file):
            self.counts.add_suffix(file)
            return False
        return True

    def _enter(self, folder: str) -> None:
        """Find out whether a folder is hidden, and count it once with all that is in it."""
        hidden = hidden_folder(folder)
        self._is_folder_hidden = bool(hidden)
        if hidden and hidden != self._hidden:
            self.counts.hidden += 1
            self._hidden = hidden

    def _matches(self, file: str) -> bool:
        if self._pattern is None:
            return suffix_of(file) in IMAGE_SUFFIXES
        return self._pattern.fullmatch(file) is not None


def hidden_folder(folder: str) -> str:
    """Return the path of a folder up to its first hidden segment; empty if no segment is hidden.

    Args:
        folder: Path relative to the landing folder.
    """
    segments = folder.split("/")
    first = next((index for index, segment in enumerate(segments) if is_hidden(segment)), None)
    return "" if first is None else "/".join(segments[: first + 1])
