"""Find and remove features that no recent training set needs.

Below the lake's root, ranks store the features of a frozen backbone in `features/<key>/<segment>/`. The key stands for
the backbone with its weights, its input and its arithmetic.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from components.errors import InputError
from components.storage import uri as uris
from components.storage.files import Files
from components.training_set.manifest import MANIFEST, SplitName, TrainingSet

FEATURES_FOLDER = "features"
TRAINING_SETS_FOLDER = "training_sets"

# A training may still write features of a key that has new files. It then lacks those of other segments.
_IN_USE = timedelta(days=1)


@dataclass(frozen=True)
class SegmentFeatures:
    """The features of a segment by one backbone.

    Attributes:
        key: Folder of the backbone's features.
        segment: Name of the segment.
        bytes: Length of all files in bytes.
        files: Number of files.
        written: Time of the last write, in UTC.
    """

    key: str
    segment: str
    bytes: int
    files: int
    written: datetime


def list_features(lake: str, files: Files) -> list[SegmentFeatures]:
    """Return all features of a lake, sorted by key and segment.

    Args:
        lake: Root URI of the lake.
        files: Access to the lake.
    """
    folder = uris.join(lake, FEATURES_FOLDER)
    found = []
    # One segment at a time, because its row groups have a file each.
    for key in files.list_names(folder):
        for segment in files.list_names(uris.join(folder, key)):
            place = uris.join(folder, key, segment)
            # Releases before 0.2 stored a file for each file of a training set.
            status = files.status(place) if segment.endswith(".npy") else None
            statuses = [status] if status else list(files.find(place).values())
            if statuses:
                written = max(status.modification_time for status in statuses)
                size = sum(status.length for status in statuses)
                found.append(SegmentFeatures(key, segment, size, len(statuses), written))
    return found


def unused_features(lake: str, newest: int, files: Files, now: datetime | None = None) -> list[SegmentFeatures]:
    """Return the features that trainings on the newest training sets do not need.

    A backbone is in use if its features cover the training and validation images of one of these training sets, or if
    features were written within a day. Of a backbone in use, the features of segments of these training sets are
    needed.

    Args:
        lake: Root URI of the lake.
        newest: Number of training sets, from 1.
        files: Access to the lake.
        now: Current time; None reads the clock.
    """
    needed = [_segments(each) for each in _newest_training_sets(lake, newest, files)]
    return select_unused(list_features(lake, files), needed, now or datetime.now(UTC))


def select_unused(
    stored: Collection[SegmentFeatures],
    needed: Collection[Collection[str]],
    now: datetime,
    in_use: timedelta = _IN_USE,
) -> list[SegmentFeatures]:
    """Return those features that trainings on some training sets do not need; see `unused_features`.

    Args:
        stored: All features of a lake.
        needed: Names of the segments with training and validation images, for each training set.
        now: Current time.
        in_use: Time after its last write for which a training may use a feature; by default, a day.
    """
    by_key: dict[str, list[SegmentFeatures]] = {}
    for each in stored:
        by_key.setdefault(each.key, []).append(each)
    return [each for of_key in by_key.values() for each in _unused(of_key, needed, now, in_use)]


def remove_features(lake: str, features: Collection[SegmentFeatures], files: Files) -> None:
    """Remove features. A training that needs them computes them again.

    Args:
        lake: Root URI of the lake.
        features: The features.
        files: Access to the lake.
    """
    for each in features:
        place = uris.join(lake, FEATURES_FOLDER, each.key, each.segment)
        (files.remove if each.segment.endswith(".npy") else files.remove_folder)(place)


def _unused(
    stored: list[SegmentFeatures], needed: Collection[Collection[str]], now: datetime, in_use: timedelta
) -> list[SegmentFeatures]:
    """Return those features of one backbone that are not needed.

    Args:
        stored: All features of the backbone.
        needed: Names of the segments of each training set.
        now: Current time.
        in_use: Time after its last write for which a training may use a feature.
    """
    covered = {each.segment for each in stored}
    is_written = now - max(each.written for each in stored) < in_use
    if not is_written and not any(covered.issuperset(segments) for segments in needed):
        return stored
    segments = {segment for of_training_set in needed for segment in of_training_set}
    return [each for each in stored if each.segment not in segments and now - each.written >= in_use]


def _newest_training_sets(lake: str, count: int, files: Files) -> list[TrainingSet]:
    folder = uris.join(lake, TRAINING_SETS_FOLDER)
    times = {
        name.partition("/")[0]: status.modification_time
        for name, status in files.find(folder).items()
        if name.partition("/")[2] == MANIFEST
    }
    newest: list[TrainingSet] = []
    for name in sorted(times, key=lambda name: (times[name], name), reverse=True):
        if len(newest) == count:
            break
        try:
            newest.append(TrainingSet.read(uris.join(folder, name), files))
        except InputError:
            # A training set of an earlier release has no segments.
            continue
    return newest


def _segments(training_set: TrainingSet) -> set[str]:
    splits = SplitName.TRAIN, SplitName.VALIDATION
    return {segment.name for split in splits for segment in training_set.segments_of(split)}
