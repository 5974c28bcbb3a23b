"""The output of the ranks, printed line by line and searched for the reason of a failure."""

import re
from collections.abc import Sequence

# Tags of `horovodrun --gloo` and of Open MPI's `mpirun --tag-output`. mpirun tags each chunk that it reads from a rank,
# so a line that was written in chunks has several tags, even of several ranks.
_TAG = re.compile(r"(\[(?:\d+,)?\d+\]<(?:stdout|stderr)>:)")
_RANK = re.compile(r"(\d+)\]")
_FAILED_RANK = re.compile(r"\s*Process name: (\[\[\d+,\d+\],)?(?P<rank>\d+)")
_EXIT_CODE = re.compile(r"\s*Exit code:\s+(?P<code>\d+)")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception): ")
# Printed by ssh or mpirun when a worker's pod is lost. Which of the two prints first varies.
_LOST_LINE = re.compile(r".*(closed by remote host|lost communication with a remote daemon)\.")
# Messages that Petastorm and TensorFlow print at any log level, and the frames around mpirun's messages.
_NOISE = re.compile(
    r"Cache cleanup complete\.|WARNING: All log messages before absl|.*oneDNN custom operations are on|-+$"
)


class RankOutput:
    """The lines that the ranks and their launcher printed so far."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._failed_rank: str | None = None
        self._code: str | None = None

    def add(self, line: str) -> None:
        """Print a line without the launcher's tags, and store it.

        Args:
            line: A line of the launcher's output.
        """
        for rank, text in _split_by_rank(line):
            self._add(rank, text)

    def _add(self, rank: str, text: str) -> None:
        if not text.strip() or _NOISE.match(text):
            return
        print(f"rank {rank}: {text}" if rank not in ("", "0") else text, flush=True)
        if rank:
            self._lines.setdefault(rank, []).append(text)
        elif failed := _FAILED_RANK.match(text):
            self._failed_rank = failed["rank"]
        elif code := _EXIT_CODE.match(text):
            self._code = code["code"]
        else:
            self._lines.setdefault("", []).append(text)

    def failure(self, code: int) -> str:
        """Return the reason of a failure in one sentence.

        Args:
            code: Exit code of the process that launched the ranks.
        """
        # mpirun does not always print which rank failed. Then the reason is a lost worker, or else the error of the
        # first rank with an error.
        with_errors = (rank for rank in ("", *self._lines) if _errors(self._lines.get(rank, [])))
        rank = self._failed_rank or next(with_errors, "")
        lines = self._lines.get(rank) or self._lines.get("") or ["it printed nothing"]
        subject = f"rank {rank} of the training" if rank else "the training"
        return f"{subject} ended with exit code {self._code or code}: {(_errors(lines) or lines)[-1].strip()}"


def _split_by_rank(line: str) -> list[tuple[str, str]]:
    """Return pairs of a rank's number and its text.

    The number is empty for the launcher's own text.
    """
    own, *tagged = _TAG.split(line)
    texts: dict[str, str] = {}
    for tag, text in zip(tagged[::2], tagged[1::2], strict=True):
        texts[tag] = texts.get(tag, "") + text
    ranks = [(match[1], text) for tag, text in texts.items() if (match := _RANK.search(tag))]
    return [("", own), *ranks] if own or not ranks else ranks


def _errors(lines: Sequence[str]) -> list[str]:
    """Return the lines that report an error."""
    return [line for line in lines if _ERROR_LINE.match(line) or _LOST_LINE.match(line)]
