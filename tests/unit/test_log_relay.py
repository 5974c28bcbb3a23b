"""The relay of a pod's log: each line once, in order, whatever part of the log an answer has."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from components.train_classifier.mpijob.relay import LogRelay

# Pairs of a time's nanoseconds and a text; several lines can have one time.
lines = st.lists(st.tuples(st.sampled_from([1, 500_000_000, 500_000_001, 999_999_999]), st.text("ab ", max_size=3)))


def written(nanoseconds: int, second: int) -> str:
    """Return a time as Go writes it: without zeros at the end."""
    return f"2026-01-31T12:00:{second:02}." + f"{nanoseconds:09}".rstrip("0") + "+01:00"


@given(seconds=st.lists(lines, max_size=4), data=st.data())
def test_each_line_is_told_once_and_in_order(seconds: list[list[tuple[int, str]]], data: st.DataObject) -> None:
    # In each second, lines of the two streams are in any order.
    log = [((index, nanoseconds), said) for index, group in enumerate(seconds) for nanoseconds, said in group]
    # An answer has the lines from some time on, as far as the log has come.
    ends = [*sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5))), len(log)]

    def answers() -> Iterator[str | None]:
        known = 0
        for end in ends:
            if data.draw(st.booleans()):
                yield None
            unknown = min((moment for moment, _ in log[known:]), default=(0, 0))
            since = data.draw(st.sampled_from([(0, 0), *sorted({moment for moment, _ in log if moment <= unknown})]))
            yield "".join(
                f"{written(nanoseconds, 10 * index)} {said}\n"
                for (index, nanoseconds), said in log[:end]
                if (index, nanoseconds) >= since
            )
            known = end

    answering = answers()
    relay = LogRelay(lambda since: next(answering, None))
    told = [said for _ in range(2 * len(ends)) for said in relay.new_lines()]

    assert told == [said for _, said in log]


def test_no_more_is_kept_of_a_long_log_than_answers_may_have_again() -> None:
    answers = (f"2026-01-31T12:{minute:02}:00Z a\n" for minute in range(60))
    relay = LogRelay(lambda since: next(answers))

    told = [said for _ in range(60) for said in relay.new_lines()]

    assert told == ["a"] * 60
    assert len(vars(relay)["_known"]) <= 2


def test_the_whole_log_is_asked_for_until_it_was_had_once() -> None:
    asked: list[int | None] = []
    answers = iter([None, "2026-01-31T12:00:00Z a\n", None, ""])

    def read(since: int | None) -> str | None:
        asked.append(since)
        return next(answers)

    relay = LogRelay(read)
    for _ in range(4):
        list(relay.new_lines())

    assert asked[:2] == [None, None]
    assert all(since is not None and since > 0 for since in asked[2:])
    assert all(earlier is None or later is not None for earlier, later in pairwise(asked))
