"""Scenarios for each step: new work arrives, the step is killed in a window, and so on. Then it may end.

Each kill has new work, so that it falls into a new batch, after the batch before was completed.
"""

import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from components.build_training_set.build import build_training_set
from components.export_for_labeling.status import NAME as EXPORT
from components.export_for_labeling.status import BatchStatus
from components.import_labels.status import NAME as IMPORT
from components.import_labels.status import ImportStatus
from components.labeling.batches import IMAGES_FOLDER, MANIFEST
from components.lake import Lake
from components.lake.tables import (
    ANNOTATIONS,
    FILES,
    IMAGE,
    IMAGES,
    LABELING_REQUESTS,
    LABELS,
    PREDICTIONS,
    QUARANTINED,
    SEGMENTS,
)
from components.lake.upkeep import small_files
from components.registry.model_registry import CHAMPION, ModelRegistry
from components.registry.tags import DIGEST_TAG
from components.score_images.state import read_state
from components.storage import uri
from components.storage.notes import read_note
from components.training_set.manifest import MANIFEST as TRAINING_SET_MANIFEST
from components.training_set.manifest import MEMBERS, SEGMENTS_FOLDER, TrainingSet
from tests.support.kills.harness import (
    ReadState,
    Steps,
    Window,
    data_file,
    has_open_plan,
    log_entry,
    open_plan,
)
from tests.support.kills.separate_reader import read_table
from tests.support.lake_rows import INGESTED_AT
from tests.support.saved_model_factory import constant_classifier, log_classifier
from tests.support.scored_lake import insert_class, insert_images, insert_predictions, register_champion
from tests.support.tracking import find_or_make_tracking

# Kills of a step in each window: one in `make test`, more in `make test-slow`.
KILLS = int(os.environ.get("IMAGE_PIPELINES_TEST_KILLS", "1"))
# Attempts at a kill within its window: some windows last milliseconds.
_TRIES = 20
_MODEL = "killed"


@dataclass(frozen=True)
class Place:
    """The lake and the folders of a scenario.

    Attributes:
        lake: An empty lake.
        folder: URI under which images land, are exported, and annotations arrive.
        work: Folder on this machine for models and logs.
        environment: Environment variables that give the steps access to these.
    """

    lake: Lake
    folder: str
    work: Path
    environment: dict[str, str]

    def steps(self) -> Steps:
        """Return the runner of the steps."""
        settings = {
            "LAKE": self.lake.root,
            "UNLABELED_SOURCE": uri.join(self.folder, "landing"),
            "LABELING_DESTINATION": uri.join(self.folder, "to label"),
            "ANNOTATIONS_SOURCE": uri.join(self.folder, "annotations"),
            "MLFLOW_TRACKING_URI": self.tracking,
            "MODEL_NAME": _MODEL,
        }
        named = {f"IMAGE_PIPELINES_{name}": value for name, value in settings.items()}
        return Steps(named | self.environment, self.work)

    @property
    def tracking(self) -> str:
        """MLflow's tracking and registry URI; its database is made at the first call."""
        return find_or_make_tracking(self.work)


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, 90, 160)).save(buffer, "JPEG", comment=str(number).encode())
    return buffer.getvalue()


def _kill(
    place: Place, windows: list[Window], arrive: Callable[[int], None], is_unfinished: Callable[[], bool]
) -> None:
    """Kill a step `KILLS` times in each window, then let it end.

    Args:
        place: The lake and the folders.
        windows: Windows of one step.
        arrive: Adds new work, given a number.
        is_unfinished: Returns whether the step has left work undone. If not, the kill came too late.
    """
    numbers = count()
    with place.steps() as steps:
        for window in KILLS * windows:
            for number in islice(numbers, _TRIES):
                arrive(number)
                steps.kill_in(window)
                if is_unfinished():
                    break
                print(f"too late for {window.name}", flush=True)
            else:
                raise AssertionError(f"none of {_TRIES} kills came in the window: {window.name}")
            print(f"killed {window.step}: {window.name}", flush=True)
        arrive(next(numbers))
        steps.run(windows[0].step)


def kill_ingest(place: Place, announce: Callable[[str], None] = lambda name: None) -> None:
    """Kill ingest: each file is an image or in quarantine, and `images` has one row for it.

    Args:
        place: The lake and the folders.
        announce: Receives the URI of each file that lands, e.g. to send its event.
    """
    lake = place.lake
    good: set[str] = set()
    bad: set[str] = set()

    def arrive(number: int) -> None:
        for kind, content, names in (("good", jpeg(number), good), ("broken", b"no image", bad), ("empty", b"", bad)):
            name = uri.join(place.folder, "landing", f"{number} {kind} ü.jpg")
            lake.files.write_bytes(name, content)
            announce(name)
            names.add(uri.column_spelling(name))

    planned = open_plan(lake)
    windows = [
        planned,
        data_file(lake, "ingest", IMAGES, planned),
        log_entry(lake, "ingest", IMAGES),
        log_entry(lake, "ingest", FILES),
    ]
    _kill(place, windows, arrive, lambda: has_open_plan(lake))

    states = [(row["path"], row["state"]) for row in read_table(lake, FILES)]
    assert Counter(states) == Counter([(path, IMAGE) for path in good] + [(path, QUARANTINED) for path in bad])
    assert Counter(row["path"] for row in read_table(lake, IMAGES)) == Counter(good | bad)
    assert not has_open_plan(lake)


def kill_score(place: Place) -> None:
    """Kill scoring: each image has exactly one prediction."""
    lake = place.lake
    _make_champion(place)
    paths: set[str] = set()
    watermark: datetime | None = None

    def arrive(number: int) -> None:
        nonlocal watermark
        new = {f"file:/d/{number}-{each}.jpg": jpeg(2 * number + each) for each in (0, 1)}
        insert_images(lake, new)
        paths.update(new)
        watermark = read_state(lake, _MODEL).scored_until

    def is_unfinished() -> bool:
        return read_state(lake, _MODEL).scored_until == watermark

    _kill(place, [data_file(lake, "score", PREDICTIONS), log_entry(lake, "score", PREDICTIONS)], arrive, is_unfinished)

    _assert_scored_once(place, paths)


def score_at_once(place: Place) -> None:
    """Let two tasks score while images arrive: no commit is lost, and each image has one prediction."""
    _make_champion(place)
    paths: set[str] = set()
    with place.steps() as steps:
        processes = steps.start_at_once("score", 2)
        at_once = False
        while any(process.poll() is None for process in processes):
            at_once |= all(process.poll() is None and "\nscore\n" in steps.output(process) for process in processes)
            new = {f"file:/d/{len(paths)}.jpg": jpeg(len(paths))}
            insert_images(place.lake, new)
            paths.update(new)
        assert [process.returncode for process in processes] == [0, 0], steps.log()
        assert at_once
        scored = re.compile(r"progress: [1-9][\d,]* images scored")
        assert all(scored.search(steps.output(process)) for process in processes), "both had something to score"
        steps.run("score")
    _assert_scored_once(place, paths)


def _make_champion(place: Place) -> None:
    registry = ModelRegistry(place.tracking, _MODEL)
    model = log_classifier(place.tracking, place.work / "artifacts", constant_classifier((3, 5), 5))
    version = registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    registry.set_alias(CHAMPION, version.version)


def _assert_scored_once(place: Place, paths: set[str]) -> None:
    predictions = read_table(place.lake, PREDICTIONS)
    assert Counter(row["path"] for row in predictions) == Counter(paths)
    assert {(row["predicted_label"], row["error"]) for row in predictions} == {(5, None)}


def kill_export(place: Place) -> None:
    """Kill the export: each image has one request, and the destination has the files that manifests name."""
    lake, destination = place.lake, uri.join(place.folder, "to label")
    register_champion(place.tracking, _MODEL)
    contents: dict[str, bytes] = {}

    def arrive(number: int) -> None:
        new = {f"file:/d/{number}-{each}.jpg": jpeg(3 * number + each) for each in range(3)}
        insert_images(place.lake, new)
        insert_predictions(place.lake, dict.fromkeys(new, 0.5), model=_MODEL)
        contents.update(new)

    def sent_in(batch: str, folder: str, suffix: str) -> list[str]:
        where = uri.join(batch, folder) if folder else batch
        names = lake.files.list_names(uri.join(destination, where))
        return [uri.join(where, name) for name in names if name.endswith(suffix)]

    def sent(suffix: str) -> list[str]:
        batches = lake.files.list_names(destination)
        return [name for batch in batches for folder in ("", IMAGES_FOLDER) for name in sent_in(batch, folder, suffix)]

    def batches_with(folder: str, suffix: str) -> ReadState:
        """Return a function that counts batches.

        It lists one folder at a time, because listing all would take longer than the window.
        """
        found: set[str] = set()
        without: set[str] = set()

        def count() -> int:
            if not without:
                without.update(set(lake.files.list_names(destination)) - found)
            now = {batch for batch in without if sent_in(batch, folder, suffix)}
            found.update(now)
            without.difference_update(now)
            return len(found)

        return count

    requested = log_entry(lake, "export", LABELING_REQUESTS)
    resumed = Window(
        "export", "a copy of a batch that was begun before", batches_with(IMAGES_FOLDER, ".jpg"), resumes=requested
    )
    copied = Window("export", "a copy and no manifest", batches_with(IMAGES_FOLDER, ".jpg"), requested)
    announced = Window(
        "export", "a manifest and no note that it is finished", batches_with("", MANIFEST), copied, is_narrow=True
    )

    def is_unfinished() -> bool:
        status = read_note(lake.root, EXPORT, BatchStatus, lake.files)
        return status is not None and not status.finished

    _kill(place, [requested, resumed, copied, announced], arrive, is_unfinished)

    texts = [lake.files.read_text(uri.join(destination, name)) for name in sent(MANIFEST)]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    assert Counter(line["path"] for line in lines) == Counter(contents.keys())
    assert Counter(row["path"] for row in read_table(lake, LABELING_REQUESTS)) == Counter(contents.keys())
    copies = {uri.join(line["batch"], line["file"]): line["path"] for line in lines}
    assert set(sent(".jpg")) == copies.keys()
    assert {path: lake.files.read_bytes(uri.join(destination, name)) for name, path in copies.items()} == contents


def kill_import(place: Place) -> None:
    """Kill the import: each annotation is imported once, and each image has one label."""
    lake = place.lake
    for label in (0, 1):
        insert_class(place.lake, label, f"class {label}")
    labels: dict[str, int] = {}

    def arrive(number: int) -> None:
        path, label = f"file:/d/{number}.jpg", number % 2
        insert_images(place.lake, {path: jpeg(number)})
        annotation = json.dumps({"path": path, "label": label, "annotator": "ann"})
        lake.files.write_text(uri.join(place.folder, "annotations", f"{number}.jsonl"), annotation)
        labels[path] = label

    def is_unfinished() -> bool:
        status = read_note(lake.root, IMPORT, ImportStatus, lake.files)
        return status is None or sum(map(len, status.exports.values())) < len(labels)

    _kill(place, [log_entry(lake, "import", ANNOTATIONS), log_entry(lake, "import", LABELS)], arrive, is_unfinished)

    annotations = read_table(lake, ANNOTATIONS)
    assert Counter(row["path"] for row in annotations) == Counter(labels.keys())
    assert Counter((row["path"], row["label"]) for row in read_table(lake, LABELS)) == Counter(labels.items())


def kill_build(place: Place) -> None:
    """Kill a build: each labeled image is in one segment once, and a member of the newest training set once."""
    lake = place.lake
    insert_class(lake, 1, "class 1")
    contents = {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}
    insert_images(lake, contents, label=1)
    built = 0

    def manifests() -> int:
        folder = uri.join(lake.root, "training_sets")
        return sum(name.endswith(TRAINING_SET_MANIFEST) for name in lake.files.find(folder))

    def arrive(number: int) -> None:
        nonlocal built
        new = {f"file:/new/{number}-{each}.jpg": jpeg(1000 + 3 * number + each) for each in range(3)}
        insert_images(lake, new, label=1)
        contents.update(new)
        built = manifests()

    def segments() -> int:
        folder = uri.join(lake.root, SEGMENTS_FOLDER)
        return sum(name.endswith(".parquet") for name in lake.files.list_names(folder))

    written = Window("build", "a file of a segment without its row", segments)
    committed = log_entry(lake, "build", SEGMENTS)
    _kill(place, [written, committed], arrive, lambda: manifests() == built)

    stored = [
        content
        for row in read_table(lake, SEGMENTS)
        for content in _column(lake, uri.join(lake.root, SEGMENTS_FOLDER, f"{row['name']}.parquet"), "content")
    ]
    assert Counter(stored) == Counter(contents.values())
    result = build_training_set(lake)
    assert (result.added.images, result.reused.images) == (0, len(contents))
    members = uri.join(result.training_set.uri, MEMBERS)
    files = [uri.join(members, name) for name in lake.files.list_names(members) if name.endswith(".parquet")]
    assert Counter(path for file in files for path in _column(lake, file, "path")) == Counter(contents.keys())


def kill_maintain(place: Place) -> None:
    """Kill maintenance: the training set that stays is whole, and no image is lost or doubled."""
    lake = place.lake
    insert_class(lake, 1, "class 1")
    base = {f"file:/d/{number}.jpg": jpeg(number) for number in range(60)}
    insert_images(lake, base, label=1)
    build_training_set(lake)
    ingested = set(base)
    current: set[str] = set()

    def training_sets() -> list[str]:
        found = lake.files.find(uri.join(lake.root, "training_sets"))
        return [name.partition("/")[0] for name in found if name.endswith(TRAINING_SET_MANIFEST)]

    def segment_files() -> set[str]:
        names = lake.files.list_names(uri.join(lake.root, SEGMENTS_FOLDER))
        return {name.removesuffix(".parquet") for name in names}

    def arrive(number: int) -> None:
        # A training set whose new images no later one has, and two small files of a finished day.
        lake.delta(FILES).delete("path LIKE 'file:/new/%'")
        current.clear()
        for each in (0, 1):
            new = {f"file:/new/{number}-{each}.jpg": jpeg(1000 + 2 * number + each)}
            insert_images(lake, new, label=1, ingested_at=INGESTED_AT)
            current.update(new)
        ingested.update(current)
        build_training_set(lake)

    removed = Window("maintain", "a training set is removed and its segments are not", lambda: len(training_sets()))
    committed = log_entry(lake, "maintain", SEGMENTS)
    rewritten = data_file(lake, "maintain", IMAGES)

    def is_unfinished() -> bool:
        return bool(small_files(lake, IMAGES, INGESTED_AT.date() + timedelta(days=1)))

    _kill(place, [removed, committed, rewritten], arrive, is_unfinished)

    (name,) = training_sets()
    made = TrainingSet.read(uri.join(lake.root, "training_sets", name), lake.files)
    assert {segment.name for segment in made.segments} == segment_files()
    assert segment_files() == {row["name"] for row in read_table(lake, SEGMENTS)}
    assert sum(made.counts.values()) == len(base) + len(current)
    assert Counter(row["path"] for row in read_table(lake, IMAGES)) == Counter(ingested)
    result = build_training_set(lake)
    assert (result.added.images, result.reused.images) == (0, len(base) + len(current))


def _column(lake: Lake, file: str, name: str) -> list[Any]:
    values: list[Any] = pq.read_table(io.BytesIO(lake.files.read_bytes(file)), columns=[name])[name].to_pylist()
    return values


SCENARIOS: dict[str, Callable[[Place], None]] = {
    "ingest": kill_ingest,
    "score": kill_score,
    "export": kill_export,
    "import": kill_import,
    "build": kill_build,
    "maintain": kill_maintain,
}
