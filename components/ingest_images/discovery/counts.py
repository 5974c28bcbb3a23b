"""Counts of what a discovery found and passed over."""

from collections import Counter
from dataclasses import dataclass, field

_MAXIMUM_SUFFIXES = 50
_MAXIMUM_EXAMPLES = 20
# Key for the files whose suffix is not one of the first 50.
OTHER = "other"


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name in lower case, without blanks at its end; empty without a suffix."""
    stem, _, suffix = name.rstrip().rpartition(".")
    return f".{suffix.lower()}" if stem and suffix else ""


@dataclass
class DiscoveryCounts:
    """Counts of what a discovery found and passed over.

    Attributes:
        modes: How the files were found: `full listing`, `incremental listing` or `events`, in this order.
        listed: Number of files whose name matches the glob, new or not.
        discovered: Number of those files that are new or changed.
        suffixes: Number of files whose name does not match the glob, by lower-case suffix. The empty suffix counts
            names without one, and `other` counts all suffixes after the first 50.
        hidden: Number of files and folders whose name begins with `_` or `.`, or which operating systems make, e.g.
            `Thumbs.db`. A folder counts once, with all that is in it.
        links: Number of symbolic links, which are not followed.
        special: Number of pipes, sockets and devices.
        unreadable_folders: Number of folders that may not be listed.
        unreadable_names: Number of names that are not UTF-8.
        vanished: Number of files that were removed before their metadata was read.
        ignored_messages: Number of messages about other events than a new file.
        poison_messages: Number of messages that were set aside.
        archived: Number of ingested files that were moved to the archive or deleted.
        examples: At most 20 unreadable folders and names.
    """

    modes: list[str] = field(default_factory=list)
    listed: int = 0
    discovered: int = 0
    suffixes: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    links: int = 0
    special: int = 0
    unreadable_folders: int = 0
    unreadable_names: int = 0
    vanished: int = 0
    ignored_messages: int = 0
    poison_messages: int = 0
    archived: int = 0
    examples: list[str] = field(default_factory=list)

    def add_suffix(self, name: str) -> None:
        """Count a file that the glob passes over.

        Args:
            name: Name without its folder.
        """
        suffix = suffix_of(name)
        if suffix not in self.suffixes and len(self.suffixes) >= _MAXIMUM_SUFFIXES:
            suffix = OTHER
        self.suffixes[suffix] += 1

    def add_unreadable_folder(self, path: bytes) -> None:
        """Count a folder that may not be listed."""
        self.unreadable_folders += 1
        self._add_example(path)

    def add_unreadable_name(self, path: bytes) -> None:
        """Count a name that is not UTF-8."""
        self.unreadable_names += 1
        self._add_example(path)

    def _add_example(self, path: bytes) -> None:
        if len(self.examples) < _MAXIMUM_EXAMPLES:
            self.examples.append(path.decode("utf-8", "backslashreplace"))
