"""The output of the ranks, printed line by line, and searched for their progress and for the reason of a failure."""

import re
import signal
import time
from collections.abc import Sequence

# Start of the lines by which a rank shows that it makes progress. They are not printed again.
LIVENESS = "liveness: "

# Tags of `horovodrun --gloo` and of Open MPI's `mpirun --tag-output`. mpirun tags each chunk that it reads from a rank,
# so a line that was written in chunks has several tags, even of several ranks.
_TAG = re.compile(r"(\[(?:\d+,)?\d+\]<(?:stdout|stderr)>:)")
_RANK = re.compile(r"(\d+)\]")
_FAILED_RANK = re.compile(r"\s*Process name: (\[\[\d+,\d+\],)?(?P<rank>\d+)")
_EXIT_CODE = re.compile(r"\s*Exit code:\s+(?P<code>\d+)")
# Printed by mpirun instead of the two above if a signal ended a rank.
_SIGNALED_RANK = re.compile(r".*noticed that process rank (?P<rank>\d+) .*exited on signal (?P<signal>\d+)")
_ERROR_LINE = re.compile(r"[\w.]+(Error|Exception): ")
# Printed by ssh or mpirun when a worker's pod is lost. Which of the two prints first varies.
_LOST_LINE = re.compile(r".*(closed by remote host|lost communication with a remote daemon)\.")
# Messages that Petastorm and TensorFlow print at any log level, the frames around mpirun's messages, and the words of
# horovodrun's shells for a rank that a signal ended.
_NOISE = re.compile(
    r"Cache cleanup complete\.|WARNING: All log messages before absl|.*oneDNN custom operations are on|-+$"
    r"|(Killed|Terminated)$"
)
# A shell adds this to the number of the signal that ended a process.
_SIGNAL_EXIT_CODES = 128

# What a stall's message shows: ranks, lines of each rank, and characters of a line.
_STALLED_RANKS = 8
_STALLED_LINES = 2
_STALLED_CHARACTERS = 160


class RankOutput:
    """The lines that the ranks and their launcher printed so far."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}
        self._failed_rank: str | None = None
        self._code: int | None = None
        # Position of each rank, and the time when it was reported. The rank that moved last comes last.
        self._positions: dict[str, str] = {}
        self._moved_at = time.monotonic()

    def add(self, line: str) -> None:
        """Print a line without the launcher's tags, and store it.

        Args:
            line: A line of the launcher's output.
        """
        for rank, text in _split_by_rank(line):
            # A progress bar may leave text without a line break before the position.
            before, is_position, position = text.rpartition(LIVENESS)
            if is_position:
                self._move(rank, position.strip())
            self._add(rank, before if is_position else text)

    @property
    def seconds_without_progress(self) -> float:
        """Time since a rank reported progress, or since `restart_clock` was called, in seconds."""
        return time.monotonic() - self._moved_at

    def restart_clock(self) -> None:
        """Count the time without progress from now."""
        self._moved_at = time.monotonic()

    def _move(self, rank: str, position: str) -> None:
        # A rank without tags is alone.
        rank = rank or "0"
        self._positions.pop(rank, None)
        self._positions[rank] = position
        self.restart_clock()

    def _add(self, rank: str, text: str) -> None:
        if not text.strip() or _NOISE.match(text):
            return
        print(f"rank {rank}: {text}" if rank not in ("", "0") else text, flush=True)
        if rank:
            self._lines.setdefault(rank, []).append(text)
        elif failed := _FAILED_RANK.match(text):
            self._failed_rank = failed["rank"]
        elif code := _EXIT_CODE.match(text):
            self._code = int(code["code"])
        elif signaled := _SIGNALED_RANK.match(text):
            self._failed_rank = signaled["rank"]
            self._code = _SIGNAL_EXIT_CODES + int(signaled["signal"])
        else:
            self._lines.setdefault("", []).append(text)

    def failure(self, code: int) -> str:
        """Return the reason of a failure in one sentence.

        Args:
            code: Exit code of the process that launched the ranks; negative if a signal ended it.
        """
        # mpirun does not always print which rank failed. Then the reason is a lost worker, or else the error of the
        # first rank with an error.
        with_errors = (rank for rank in ("", *self._lines) if _errors(self._lines.get(rank, [])))
        rank = self._failed_rank or next(with_errors, "")
        lines = self._lines.get(rank) or self._lines.get("") or ["it printed nothing"]
        subject = f"rank {rank} of the training" if rank else "the training"
        last = (_errors(lines) or lines)[-1].strip()
        if killed := self.killed(code):
            return f"{subject} was ended by {killed[1].name}. Its last line: {lines[-1].strip()}"
        return f"{subject} ended with exit code {code if self._code is None else self._code}: {last}"

    def killed(self, code: int) -> tuple[int | None, signal.Signals] | None:
        """Return the first rank that a signal ended, and the signal, or None if no signal did.

        The rank is None if its number is unknown: mpirun does not always print it, and a rank that is alone has none.

        Args:
            code: Exit code of the process that launched the ranks; negative if a signal ended it.
        """
        code = code if self._code is None else self._code
        number = -code if code < 0 else code - _SIGNAL_EXIT_CODES
        if number not in {each.value for each in signal.Signals}:
            return None
        return (None if self._failed_rank is None else int(self._failed_rank)), signal.Signals(number)

    def stall(self, seconds: float) -> str:
        """Return the message of a training that made no progress, with the last lines of its ranks.

        Args:
            seconds: The stall timeout in seconds.
        """
        # Lists, because the launcher's own thread may add a rank meanwhile.
        ranks = list(self._positions)
        ranks += [rank for rank in list(self._lines) if rank not in ranks]
        shown = [self._describe(rank) for rank in ranks[:_STALLED_RANKS]]
        if len(ranks) > len(shown):
            shown.append(f"and {len(ranks) - len(shown)} more ranks")
        return (
            f"the training made no step for {seconds:g} s, so its ranks were ended."
            f" {'; '.join(shown) or 'No rank printed anything'}. Run this step again to resume from the last"
            " checkpoint. If a step takes longer, raise IMAGE_PIPELINES_STALL_TIMEOUT_SECONDS."
        )

    def _describe(self, rank: str) -> str:
        """Return the last position and the last lines of a rank, or of the launcher if the rank is empty."""
        lines = [line.strip()[:_STALLED_CHARACTERS] for line in self._lines.get(rank, [])[-_STALLED_LINES:]]
        found = [f"at {self._positions[rank]}"] if rank in self._positions else []
        found += [f"printed '{line}'" for line in lines]
        return f"{f'rank {rank}' if rank else 'the launcher'} {', '.join(found)}"


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
