"""Cron expressions as the server's scheduler reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from pipelines.deployment.cron import Cron, parse_cron

BOUNDS = {"minute": (0, 59), "hour": (0, 23), "day of month": (1, 31), "month": (1, 12), "day of week": (0, 6)}
ALL = [frozenset(range(low, high + 1)) for low, high in BOUNDS.values()]


@pytest.mark.parametrize(
    ("expression", "changed"),
    [
        ("0 * * * * *", {}),
        ("0 ? * ? * ?", {}),
        ("0 30 2 * * *", {"minutes": {30}, "hours": {2}}),
        ("0 */20 * * * *", {"minutes": {0, 20, 40}}),
        # A step after a single number continues to the end of the field.
        ("0 50/5 * * * *", {"minutes": {50, 55}}),
        ("0 10-20/4 * * * *", {"minutes": {10, 14, 18}}),
        ("0 0 1,13 * * *", {"minutes": {0}, "hours": {1, 13}}),
        ("0 * * * JAN,mar-May SUN", {"months": {1, 3, 4, 5}, "weekdays": {0}}),
        ("0 * * 1-7 * MON-FRI", {"days": set(range(1, 8)), "weekdays": {1, 2, 3, 4, 5}}),
        ("0 * * 29 FEB *", {"days": {29}, "months": {2}}),
        # Either day suffices, so the date occurs.
        ("0 * * 31 FEB MON", {"days": {31}, "months": {2}, "weekdays": {1}}),
        ("0 * * 30,31 FEB,APR *", {"days": {30, 31}, "months": {2, 4}}),
    ],
)
def test_expression_is_parsed_as_by_the_scheduler(expression: str, changed: dict[str, set[int]]) -> None:
    everything = dict(zip(Cron._fields, [frozenset({0}), *ALL], strict=True))

    assert parse_cron(expression)._asdict() == {**everything, **changed}


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("30 2 * * *", r"'30 2 \* \* \*' has 5 fields; .* Start with the second, e\.g\. '0 30 2 \* \* \*'\."),
        ("", r"'' has 0 fields; .* Give all six\."),
        ("0 30 2 * * * 2026", r".* has 7 fields; .* Give all six\."),
        ("@daily", r"'@daily' has 1 fields; .*\."),
        ("TZ=UTC 0 30 2 * * *", r".* has 7 fields; .*\."),
        ("60 * * * * *", r"second '60' of .* Give \*, or numbers 0-59, e\.g\. .*\."),
        ("* 30 2 * * *", r"second '\*' .* starts more than one run a minute\. Give one second, e\.g\. 0\."),
        ("0 60 * * * *", r"minute '60' of .*"),
        ("0 0 24 * * *", r"hour '24' of .* numbers 0-23, .*"),
        ("0 0 0 0 * *", r"day of month '0' of .* numbers 1-31, .*"),
        ("0 0 0 * 13 *", r"month '13' of .* numbers 1-12 or JAN-DEC, .*"),
        ("0 0 0 * * 7", r"day of week '7' of .* numbers 0-6 or SUN-SAT, .*"),
        ("0 0 0 * * MO", r"day of week 'MO' of .*"),
        ("0 0 0 * MON *", r"month 'MON' of .*"),
        ("0 20-10 * * * *", r"minute '20-10' of .*"),
        ("0 */0 * * * *", r"minute '\*/0' of .*"),
        ("0 *-5 * * * *", r"minute '\*-5' of .*"),
        ("0 1,,2 * * * *", r"minute '1,,2' of .*"),
        ("0 -1 * * * *", r"minute '-1' of .*"),
        ("0 1.5 * * * *", r"minute '1\.5' of .*"),
        ("0 L * * * *", r"minute 'L' of .*"),
        ("0 0 0 31 FEB,APR *", r"no month of .* has a day 31\. Give a date that occurs\."),
        ("0 0 0 30 2 ?", r"no month of .* has a day 30\. .*"),
    ],
)
def test_misleading_expression_is_refused(expression: str, sentence: str) -> None:
    with pytest.raises(InputError, match=rf"^cron: {sentence}$"):
        parse_cron(expression)


@given(st.tuples(*(st.sets(st.integers(low, high), min_size=1) for low, high in BOUNDS.values())), st.integers(0, 59))
def test_every_set_of_values_can_be_expressed(values: tuple[set[int], ...], second: int) -> None:
    fields = [",".join(map(str, sorted(each))) for each in values]
    days, months, weekdays = values[2:]
    longest = {month: 30 if month in (4, 6, 9, 11) else 31 for month in months} | ({2: 29} if 2 in months else {})
    occurs = len(weekdays) < 7 or min(days) <= max(longest.values())

    expression = " ".join([str(second), *fields])

    if occurs:
        assert parse_cron(expression) == Cron(frozenset({second}), *map(frozenset, values))
    else:
        with pytest.raises(InputError, match="Give a date that occurs"):
            parse_cron(expression)
