"""What is done to each step: work arrives, it is killed in a window, and so on; then it may end, and all is counted.

Every kill comes with new work, so that each is in a batch of its own, after the one before was finished.
"""

import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from PIL import Image

from components.export_for_labeling.copies import FOLDER
from components.export_for_labeling.export import MANIFEST
from components.export_for_labeling.unfinished import read_unfinished
from components.import_labels.note import read_note
from components.lake import Lake
from components.lake.tables import ANNOTATIONS, IMAGES, LABELING_REQUESTS, LABELS, PREDICTIONS, QUARANTINE
from components.register_model.registry import CHAMPION, DIGEST_TAG, ModelRegistry
from components.storage import files, uri
from tests.local.kill_harness import Look, Steps, Window, has_unfinished_batch, log_entry, offset_without_commit
from tests.local.saved_model_factory import constant_classifier, log_classifier
from tests.local.scored_lake import insert_class, insert_images, insert_predictions
from tests.local.separate_reader import read_table

# How often a step is killed in each window: once in `make test`, more in `make test-slow`.
KILLS = int(os.environ.get("IMAGE_PIPELINES_TEST_KILLS", "1"))
# Kills for one that comes in its window, some of which are milliseconds.
_TRIES = 20
_MODEL = "killed"


@dataclass(frozen=True)
class Place:
    """Where a scenario plays.

    Attributes:
        lake: The lake, which is empty.
        folder: URI of the folder that images land in, are sent to, and answers come back to.
        work: Folder on this machine, for the models and the logs.
        environment: How steps get at all of it.
    """

    lake: Lake
    folder: str
    work: Path
    environment: dict[str, str]

    def steps(self) -> Steps:
        """Return what runs the steps here."""
        settings = {
            "LAKE": self.lake.root,
            "UNLABELLED_SOURCE": uri.join(self.folder, "landing"),
            "LABELING_DESTINATION": uri.join(self.folder, "to label"),
            "ANNOTATIONS_SOURCE": uri.join(self.folder, "answers"),
            "MLFLOW_TRACKING_URI": self.tracking,
            "MODEL_NAME": _MODEL,
        }
        named = {f"IMAGE_PIPELINES_{name}": value for name, value in settings.items()}
        return Steps(named | self.environment, self.work)

    @property
    def tracking(self) -> str:
        """MLflow's URI."""
        return f"sqlite:///{self.work / 'mlflow.db'}"


def jpeg(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (number % 256, 90, 160)).save(buffer, "JPEG", comment=str(number).encode())
    return buffer.getvalue()


def _kill(
    place: Place, windows: list[Window], arrive: Callable[[int], None], is_unfinished: Callable[[], bool]
) -> None:
    """Kill a step `KILLS` times in each window, then let it end.

    Args:
        place: Where.
        windows: When, all of the same step.
        arrive: Brings new work, given a number.
        is_unfinished: Returns whether the step has left some of its work undone: if not, the kill came too late.
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


def kill_ingest(place: Place) -> None:
    """Kill ingest: each file is in `images` or in `quarantine`, once."""
    root = place.lake.root
    good: set[str] = set()
    bad: set[str] = set()

    def arrive(number: int) -> None:
        for kind, content, names in (("good", jpeg(number), good), ("broken", b"no image", bad), ("empty", b"", bad)):
            name = uri.join(place.folder, "landing", f"{number} {kind}.jpg")
            files.write_bytes(name, content)
            names.add(uri.column_spelling(name))

    windows = [
        offset_without_commit(root, "ingest"),
        log_entry(root, "ingest", IMAGES),
        log_entry(root, "ingest", QUARANTINE),
    ]
    _kill(place, windows, arrive, lambda: has_unfinished_batch(root, "ingest"))

    assert Counter(row["path"] for row in read_table(root, IMAGES)) == Counter(good)
    assert Counter(row["path"] for row in read_table(root, QUARANTINE)) == Counter(bad)


def kill_score(place: Place) -> None:
    """Kill scoring: each image has one prediction."""
    root = place.lake.root
    _make_champion(place)
    paths: set[str] = set()

    def arrive(number: int) -> None:
        new = {f"file:/d/{number}-{each}.jpg": jpeg(2 * number + each) for each in (0, 1)}
        insert_images(place.lake, new)
        paths.update(new)

    windows = [offset_without_commit(root, "score"), log_entry(root, "score", PREDICTIONS)]
    _kill(place, windows, arrive, lambda: has_unfinished_batch(root, "score"))

    _assert_scored_once(place, paths)


def score_at_once(place: Place) -> None:
    """Let two tasks score at the same time, while images come in: no commit is lost, each image has one prediction."""
    _make_champion(place)
    paths: set[str] = set()
    with place.steps() as steps:
        processes = steps.start_at_once("score", 2)
        at_once = False
        while any(process.poll() is None for process in processes):
            at_once |= all(process.poll() is None and "\nscore\n" in steps.said(process) for process in processes)
            new = {f"file:/d/{len(paths)}.jpg": jpeg(len(paths))}
            insert_images(place.lake, new)
            paths.update(new)
        assert [process.returncode for process in processes] == [0, 0], steps.log()
        assert at_once
        scored = re.compile(r"progress: [1-9][\d,]* images scored")
        assert all(scored.search(steps.said(process)) for process in processes), "both had something to score"
        steps.run("score")
    _assert_scored_once(place, paths)


def _make_champion(place: Place) -> None:
    registry = ModelRegistry(place.tracking, _MODEL)
    model = log_classifier(place.tracking, place.work / "artifacts", constant_classifier((3, 5), 5))
    version = registry.create_version(model.run_id, model.model_uri, {DIGEST_TAG: model.digest})
    registry.set_alias(CHAMPION, version.version)


def _assert_scored_once(place: Place, paths: set[str]) -> None:
    predictions = read_table(place.lake.root, PREDICTIONS)
    assert Counter(row["path"] for row in predictions) == Counter(paths)
    assert {(row["predicted_label"], row["error"]) for row in predictions} == {(5, None)}


def kill_export(place: Place) -> None:
    """Kill the export: each image is asked for once, and what lies at the destination is what manifests name."""
    root, destination = place.lake.root, uri.join(place.folder, "to label")
    contents: dict[str, bytes] = {}

    def arrive(number: int) -> None:
        new = {f"file:/d/{number}-{each}.jpg": jpeg(3 * number + each) for each in range(3)}
        insert_images(place.lake, new)
        insert_predictions(place.lake, dict.fromkeys(new, 0.5))
        contents.update(new)

    def sent_in(batch: str, folder: str, suffix: str) -> list[str]:
        where = uri.join(batch, folder) if folder else batch
        names = files.list_names(uri.join(destination, where))
        return [uri.join(where, name) for name in names if name.endswith(suffix)]

    def sent(suffix: str) -> list[str]:
        batches = files.list_names(destination)
        return [name for batch in batches for folder in ("", FOLDER) for name in sent_in(batch, folder, suffix)]

    def batches_with(folder: str, suffix: str) -> Look:
        """Return a look that counts batches: it lists one folder each time, or it would take longer than the window."""
        found: set[str] = set()
        without: set[str] = set()

        def look() -> int:
            if not without:
                without.update(set(files.list_names(destination)) - found)
            now = {batch for batch in without if sent_in(batch, folder, suffix)}
            found.update(now)
            without.difference_update(now)
            return len(found)

        return look

    requested = log_entry(root, "export", LABELING_REQUESTS)
    resumed = Window(
        "export", "a copy of a batch that was begun before", batches_with(FOLDER, ".jpg"), resumes=requested
    )
    copied = Window("export", "a copy and no manifest", batches_with(FOLDER, ".jpg"), requested)
    told = Window(
        "export", "a manifest and no note that it is finished", batches_with("", MANIFEST), copied, is_narrow=True
    )
    _kill(place, [requested, resumed, copied, told], arrive, lambda: read_unfinished(place.lake) is not None)

    texts = [files.read_text(uri.join(destination, name)) for name in sent(MANIFEST)]
    lines = [json.loads(line) for text in texts for line in text.splitlines()]
    assert Counter(line["path"] for line in lines) == Counter(contents.keys())
    assert Counter(row["path"] for row in read_table(root, LABELING_REQUESTS)) == Counter(contents.keys())
    copies = {uri.join(line["batch"], line["file"]): line["path"] for line in lines}
    assert set(sent(".jpg")) == copies.keys()
    assert {path: files.read_bytes(uri.join(destination, name)) for name, path in copies.items()} == contents


def kill_import(place: Place) -> None:
    """Kill the import: each answer is one annotation, and each image has its one label."""
    root = place.lake.root
    for label in (0, 1):
        insert_class(place.lake, label, f"class {label}")
    # MLflow makes its database when it is first asked, which is none of the windows.
    ModelRegistry(place.tracking, _MODEL).champion()
    labels: dict[str, int] = {}

    def arrive(number: int) -> None:
        path, label = f"file:/d/{number}.jpg", number % 2
        insert_images(place.lake, {path: jpeg(number)})
        answer = json.dumps({"path": path, "label": label, "annotator": "ann"})
        files.write_text(uri.join(place.folder, "answers", f"{number}.jsonl"), answer)
        labels[path] = label

    def is_unfinished() -> bool:
        return sum(map(len, read_note(place.lake).exports.values())) < len(labels)

    _kill(place, [log_entry(root, "import", ANNOTATIONS), log_entry(root, "import", LABELS)], arrive, is_unfinished)

    annotations = read_table(root, ANNOTATIONS)
    assert Counter(row["path"] for row in annotations) == Counter(labels.keys())
    assert Counter((row["path"], row["label"]) for row in read_table(root, LABELS)) == Counter(labels.items())


SCENARIOS: dict[str, Callable[[Place], None]] = {
    "ingest": kill_ingest,
    "score": kill_score,
    "export": kill_export,
    "import": kill_import,
}
