"""The documents: their blocks of code, links, and what they name."""

import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPOSITORY

README = REPOSITORY / "README.md"
CHANGELOG = REPOSITORY / "CHANGELOG.md"
GUIDES = sorted((REPOSITORY / "docs").glob("*.md"))
# The documents for users and contributors. The changelog is not one of them, because it names removed things.
DOCUMENTS = [README, REPOSITORY / "CONTRIBUTING.md", *GUIDES]

_NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>\S.*) -->$")
_FENCE = re.compile(r"^(?P<indent>\s*)```(?P<language>\w*)$")
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'.*?^\1$", re.DOTALL | re.MULTILINE)
_END_OF_COMMAND = {"&&", "||", "|", ";", "&", "do", "done", "then", ">", ">>"}


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        document: The document.
        line: Number of its first line.
        language: Language that the fence names; empty for none.
        text: The code.
        not_run: Reason why no test runs the block; empty if a test runs it.
    """

    document: Path
    line: int
    language: str
    text: str
    not_run: str

    def __str__(self) -> str:
        return f"{self.document.name}:{self.line}"

    def commands(self) -> list[list[str]]:
        """Return the words of each command, without comments and here documents."""
        text = _HERE_DOCUMENT.sub("", self.text).replace("\\\n", " ")
        found: list[list[str]] = []
        for line in text.splitlines():
            words: list[str] = []
            lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
            lexer.whitespace_split = True
            for word in [*lexer, ";"]:
                if word not in _END_OF_COMMAND:
                    words.append(word)
                elif words:
                    found.append(words)
                    words = []
        return found


def blocks(document: Path) -> Iterator[Block]:
    """Yield the blocks of a document; `<!-- not run: REASON -->` before a block marks one that no test runs."""
    lines = document.read_text().splitlines()
    start, indent, language, reason = None, "", "", ""
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if start is not None:
            if line == f"{indent}```":
                text = textwrap.dedent("\n".join(lines[start:number])) + "\n"
                yield Block(document, start + 1, language, text, reason)
                start = None
        elif fence:
            start, indent, language = number + 1, fence["indent"], fence["language"]
            match = _NOT_RUN.match(lines[number - 1]) if number else None
            reason = match["reason"] if match else ""


def prose(document: Path) -> str:
    """Return a document's text without its fenced blocks."""
    kept, inside = [], False
    for line in document.read_text().splitlines():
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            kept.append(line)
    return "\n".join(kept) + "\n"


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
