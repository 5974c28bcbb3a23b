"""The relay of a pod's log returns each line once and in order, whichever lines the responses contain."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from components.train_classifier.mpijob.relay import LogRelay

# Pairs of a timestamp's nanoseconds and a text. Several lines can have the same timestamp.
lines = st.lists(st.tuples(st.sampled_from([1, 500_000_000, 500_000_001, 999_999_999]), st.text("ab ", max_size=3)))


def timestamp(nanoseconds: int, second: int) -> str:
    """Return a timestamp in the format of Go, without trailing zeros."""
    return f"2026-01-31T12:00:{second:02}." + f"{nanoseconds:09}".rstrip("0") + "+01:00"


@given(seconds=st.lists(lines, max_size=4), data=st.data())
def test_each_line_is_returned_once_and_in_order(seconds: list[list[tuple[int, str]]], data: st.DataObject) -> None:
    # In each second, the lines of the two streams are in any order.
    log = [((index, nanoseconds), text) for index, group in enumerate(seconds) for nanoseconds, text in group]
    # A response contains the lines from some time to the end of the log at that moment.
    ends = [*sorted(data.draw(st.lists(st.integers(0, len(log)), max_size=5))), len(log)]

    def responses() -> Iterator[str | None]:
        seen = 0
        for end in ends:
            if data.draw(st.booleans()):
                yield None
            oldest_new = min((moment for moment, _ in log[seen:]), default=(0, 0))
            since = data.draw(st.sampled_from([(0, 0), *sorted({moment for moment, _ in log if moment <= oldest_new})]))
            yield "".join(
                f"{timestamp(nanoseconds, 10 * index)} {text}\n"
                for (index, nanoseconds), text in log[:end]
                if (index, nanoseconds) >= since
            )
            seen = end

    remaining = responses()
    relay = LogRelay(lambda since: next(remaining, None))
    lines_read = [text for _ in range(2 * len(ends)) for text in relay.new_lines()]

    assert lines_read == [text for _, text in log]


def test_relay_drops_lines_that_responses_no_longer_contain() -> None:
    responses = (f"2026-01-31T12:{minute:02}:00Z a\n" for minute in range(60))
    relay = LogRelay(lambda since: next(responses))

    lines_read = [text for _ in range(60) for text in relay.new_lines()]

    assert lines_read == ["a"] * 60
    assert len(vars(relay)["_seen"]) <= 2


def test_relay_requests_the_whole_log_until_the_first_response() -> None:
    requested: list[int | None] = []
    responses = iter([None, "2026-01-31T12:00:00Z a\n", None, ""])

    def read(since: int | None) -> str | None:
        requested.append(since)
        return next(responses)

    relay = LogRelay(read)
    for _ in range(4):
        list(relay.new_lines())

    assert requested[:2] == [None, None]
    assert all(since is not None and since > 0 for since in requested[2:])
    assert all(earlier is None or later is not None for earlier, later in pairwise(requested))
