"""What the ranks of a training print: passed on line by line, and searched for the reason when they fail."""

import re
from collections.abc import Sequence

# Of `horovodrun --gloo`, and of Open MPI's `mpirun --tag-output`.
_RANK_LINE = re.compile(r"\[(\d+,)?(?P<rank>\d+)\]<(?P<stream>stdout|stderr)>:(?P<text>.*)")
_FAILED_RANK = re.compile(r"\s*Process name: (\[\[\d+,\d+\],)?(?P<rank>\d+)")
_EXIT_CODE = re.compile(r"\s*Exit code:\s+(?P<code>\d+)")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception): ")
# Of ssh and of mpirun, when a worker's pod goes: which of them says it first, and what mpirun adds, varies.
_LOST_LINE = re.compile(r".*(closed by remote host|lost communication with a remote daemon)\.")
# What Petastorm and TensorFlow print whatever one asks of them, and the frames around what mpirun says.
_NOISE = re.compile(
    r"Cache cleanup complete\.|WARNING: All log messages before absl|.*oneDNN custom operations are on|-+$"
)


class Said:
    """What was said so far."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._failed_rank: str | None = None
        self._code: str | None = None

    def add(self, line: str) -> None:
        """Pass on a line."""
        match = _RANK_LINE.match(line)
        rank, text = (match["rank"], match["text"]) if match else ("", line)
        if not text.strip() or _NOISE.match(text):
            return
        print(f"[{rank}]<{match['stream']}>:{text}" if match and rank != "0" else text, flush=True)
        if match:
            self._lines.setdefault(rank, []).append(text)
        elif failed := _FAILED_RANK.match(line):
            self._failed_rank = failed["rank"]
        elif code := _EXIT_CODE.match(line):
            self._code = code["code"]
        else:
            self._lines.setdefault("", []).append(line)

    def failure(self, code: int) -> str:
        """Return the reason, in one sentence.

        Args:
            code: What the launcher of the ranks ended with.
        """
        # mpirun does not always get to say which rank it was: then a lost worker is the reason, or the first error.
        told = (rank for rank in ("", *self._lines) if _errors(self._lines.get(rank, [])))
        rank = self._failed_rank or next(told, "")
        lines = self._lines.get(rank) or self._lines.get("") or ["it printed nothing"]
        who = f"rank {rank} of the training" if rank else "the training"
        return f"{who} ended with exit code {self._code or code}: {(_errors(lines) or lines)[-1].strip()}"


def _errors(lines: Sequence[str]) -> list[str]:
    """Return the lines that tell of an error."""
    return [line for line in lines if _ERROR_LINE.match(line) or _LOST_LINE.match(line)]
