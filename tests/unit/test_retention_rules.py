"""Which trainings, training sets, segments and predictions stay."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from components.retention.rules import (
    IN_USE,
    Inventory,
    StoredTrainingSet,
    Training,
    Version,
    needed,
    removable_digests,
)
from pipelines import platform

NOW = datetime(2026, 11, 30, tzinfo=UTC)
OLD = NOW - timedelta(days=100)


def training(name: str, days_after_old: int = 0, training_set: str = "", run_id: str = "") -> Training:
    return Training(name, OLD + timedelta(days=days_after_old), training_set, run_id)


def training_set(name: str, segments: str, days_after_old: int = 0, is_complete: bool = True) -> StoredTrainingSet:
    """Return a training set. Each letter is a segment."""
    names = frozenset(segments)
    return StoredTrainingSet(name, OLD + timedelta(days=days_after_old), is_complete, names, names)


def version(number: int, is_needed: bool = False, model: str = "m", training_set: str = "", run: str = "") -> Version:
    return Version(model, number, f"{model}{number}", run, training_set, is_needed)


def inventory(
    trainings: list[Training] | None = None,
    training_sets: list[StoredTrainingSet] | None = None,
    segments: str = "",
    versions: list[Version] | None = None,
) -> Inventory:
    return Inventory(trainings or [], training_sets or [], dict.fromkeys(segments, OLD), versions or [])


def test_newest_training_sets_and_their_segments_stay() -> None:
    sets = [training_set("a", "xy", 1), training_set("b", "yz", 2), training_set("c", "z", 3)]
    found = needed(inventory(training_sets=sets, segments="xyz"), 2, NOW)

    assert found.training_sets == {"b", "c"}
    assert found.segments == {"y", "z"}


def test_training_set_of_a_restorable_champion_stays_whatever_its_age() -> None:
    sets = [training_set(name, name, day) for day, name in enumerate("abcd")]
    versions = [version(1, is_needed=True, training_set="a"), version(2, training_set="b"), version(3)]
    found = needed(inventory(training_sets=sets, segments="abcd", versions=versions), 1, NOW)

    assert found.training_sets == {"a", "d"}
    assert found.segments == {"a", "d"}
    assert found.digests == {"m1", "m3"}


def test_champions_of_all_registered_models_count() -> None:
    sets = [training_set(name, name, day) for day, name in enumerate("abc")]
    versions = [version(1, True, "first", "a"), version(1, True, "second", "b")]

    assert needed(inventory(training_sets=sets, versions=versions), 1, NOW).training_sets == {"a", "b", "c"}


def test_newest_trainings_and_those_of_needed_versions_stay_with_their_training_sets() -> None:
    trainings = [training("1", 1, "a", "r1"), training("2", 2, "b", "r2"), training("3", 3, "c", "r3")]
    sets = [training_set(name, name) for name in "abcd"]
    found = needed(inventory(trainings, sets, versions=[version(1, True, run="r1")]), 1, NOW)

    assert found.trainings == {"1", "3"}
    assert found.training_sets == {"a", "c", "d"}


def test_recently_written_data_stay() -> None:
    recent = NOW - IN_USE + timedelta(seconds=1)
    found = needed(
        Inventory(
            [Training("t", recent, "a", ""), training("u"), training("v", 1)],
            [training_set("a", "s"), StoredTrainingSet("begun", recent, False, frozenset(), frozenset())],
            {"s": OLD, "new": recent, "old": OLD},
            [],
        ),
        1,
        NOW,
    )

    assert found.trainings == {"t"}
    assert found.training_sets == {"a", "begun"}
    assert found.segments == {"s", "new"}


def test_rest_of_a_removed_training_set_does_not_stay() -> None:
    sets = [training_set("whole", "s", 1), training_set("rest", "", 2, is_complete=False)]

    assert needed(inventory(training_sets=sets), 2, NOW).training_sets == {"whole"}


def test_predictions_of_unknown_models_stay() -> None:
    versions = [version(1), version(2, is_needed=True), version(3), version(4)]

    assert removable_digests(inventory(versions=versions), 1) == {"m": {"m1", "m3"}}
    assert removable_digests(inventory(), 1) == {}


def test_predictions_of_a_digest_that_another_model_needs_stay() -> None:
    shared = Version("other", 1, "m1", "", "", True)

    assert removable_digests(inventory(versions=[version(1), version(2), shared]), 1) == {}


def test_a_run_is_in_use_until_its_last_retry_ends() -> None:
    assert timedelta(seconds=platform.retry_window_seconds(platform.SUBMITTER.timeout_seconds)) < IN_USE


NAMES = st.sampled_from("abcdefgh")
AGES = st.integers(0, 40).map(lambda days: NOW - timedelta(days=days))
INVENTORIES = st.builds(
    Inventory,
    st.lists(st.builds(Training, NAMES, AGES, NAMES, NAMES), max_size=8, unique_by=lambda each: each.name),
    st.lists(
        st.builds(StoredTrainingSet, NAMES, AGES, st.booleans(), st.frozensets(NAMES), st.frozensets(NAMES)),
        max_size=8,
        unique_by=lambda each: each.name,
    ),
    st.dictionaries(NAMES, AGES),
    st.lists(
        st.builds(Version, st.sampled_from("mn"), st.integers(1, 5), NAMES, NAMES, NAMES, st.booleans()), max_size=8
    ),
)


@given(INVENTORIES, st.integers(1, 5))
def test_what_stays_has_all_that_it_needs(inventory: Inventory, keep: int) -> None:
    found = needed(inventory, keep, NOW)

    for each in inventory.training_sets:
        if each.name in found.training_sets:
            assert each.segments <= found.segments
    existing = {each.name for each in inventory.training_sets}
    for run in inventory.trainings:
        if run.name in found.trainings:
            assert run.training_set in found.training_sets | ({run.training_set} - existing)
    for registered in inventory.versions:
        if registered.is_needed:
            assert registered.digest in found.digests
            assert registered.training_set in found.training_sets | ({registered.training_set} - existing)


@given(INVENTORIES, st.integers(1, 5))
def test_more_trainings_to_keep_never_remove_more(inventory: Inventory, keep: int) -> None:
    fewer, more = needed(inventory, keep, NOW), needed(inventory, keep + 1, NOW)

    assert fewer.trainings <= more.trainings
    assert fewer.training_sets <= more.training_sets
    assert fewer.segments <= more.segments


@given(INVENTORIES, st.integers(1, 5))
def test_a_second_run_removes_nothing_more(inventory: Inventory, keep: int) -> None:
    found = needed(inventory, keep, NOW)
    left = Inventory(
        [each for each in inventory.trainings if each.name in found.trainings],
        [each for each in inventory.training_sets if each.name in found.training_sets],
        {name: written for name, written in inventory.segments.items() if name in found.segments},
        inventory.versions,
    )

    assert needed(left, keep, NOW) == found
