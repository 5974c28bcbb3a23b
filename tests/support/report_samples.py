"""Sample results of each component for its report: usual results, results with many strange values, empty results."""

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.build_training_set import report as build_report
from components.build_training_set.arrivals import Arrivals
from components.build_training_set.build import BuildResult
from components.build_training_set.segments import Amount
from components.evaluate_classifier import report as evaluate_report
from components.evaluate_classifier.comparison import Comparison, GroupOutcome, ImageGroup
from components.evaluate_classifier.evaluate import EvaluationResult, Mistake, class_names
from components.evaluate_classifier.gate import decide
from components.evaluate_classifier.tally import Paired, Tally
from components.export_for_labeling import report as export_report
from components.export_for_labeling.export import ExportedBatch, ExportedImage, ExportResult
from components.import_labels import report as import_report
from components.import_labels.annotations import REPEATED_ID
from components.import_labels.import_annotations import ImportResult
from components.ingest_images import report as ingest_report
from components.ingest_images.ingest import IngestResult
from components.ingest_images.labels.reader import IN_DOUBT
from components.labeling.formats import Outcome, Rejection
from components.labeling.requests import AUDIT, UNCERTAIN
from components.labeling.sources import OtherFiles
from components.parameters import Choice, Gate
from components.parameters.training import BackboneName
from components.score_images import report as score_report
from components.score_images.class_fractions import ClassFractions
from components.score_images.field_accuracy import Audits, FieldAccuracy
from components.score_images.score import HISTOGRAM_BINS, ScoredImage, ScoreResult
from components.storage.files import Files
from components.train_classifier import report as train_report
from components.train_classifier.request import EpochMetrics, TrainingRequest, TrainingResult
from components.training_set.manifest import ImageClass, Segment, SplitName, TrainingSet
from pipelines.trace.describe_image import describe_image
from pipelines.trace.describe_model import describe_model
from pipelines.trace.document import as_report
from pipelines.trace.image import ImageTrace
from pipelines.trace.model import ModelTrace
from tests.support.trace_samples import empty_trace, image_trace, model_trace

STRANGE_NAMES = (
    "<img src=//evil.example/a.png onerror=alert(1)>",
    "a-class-with-a-name-that-is-far-longer-than-any-axis-of-a-chart-and-any-column-of-a-table-has-room-for",
    "Straßenbahn & Oberleitung",
    "自転車",
    "דגל",
    "🚲 bicycle",
    "name $\\frac{1}{0}$ of_a^formula",
    "bell\x07 and $\\unknown$",
)
_USUAL_NAMES = ("ak47", "american-flag", "backpack", "baseball-bat", "bear", "binoculars", "boxing-glove", "calculator")
MONDAY = date(2026, 5, 4)


@cache
def photograph(seed: int, width: int = 1600, height: int = 1200, file_format: str = "JPEG") -> bytes:
    """Return a picture that compresses as little as a photograph does."""
    noise = np.random.default_rng(seed).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((width, height)).save(buffer, file_format)
    return buffer.getvalue()


@dataclass(frozen=True)
class Scale:
    """The size of sample results.

    Attributes:
        names: Names of the classes.
        images: Approximate number of images of each class.
        pictures: Number of pictures in each gallery.
        first: Id of the first class. The ids are consecutive.
    """

    names: tuple[str, ...]
    images: int
    pictures: int
    first: int = 1

    @property
    def labels(self) -> range:
        """The class ids."""
        return range(self.first, self.first + len(self.names))

    def label(self, number: int) -> int:
        """Return a class id."""
        return self.labels[number % len(self.names)]

    def path(self, number: int) -> str:
        """Return an image's path."""
        return f"file:/landing/2026-05-04/{self.names[number % len(self.names)]}/{number:04}.jpg"


USUAL = Scale(_USUAL_NAMES, 90, 12)
_MANY_NAMES = (*STRANGE_NAMES, *(f"{n:03}.object category {n}" for n in range(len(STRANGE_NAMES) + 1, 258)))
MANY = Scale(_MANY_NAMES, 100, 24, first=990)
FEW = Scale(("only",), 1, 0)
SCALES = {"usual": USUAL, "many": MANY, "few": FEW}


def ingest_result(scale: Scale = USUAL) -> IngestResult:
    images = len(scale.names) * scale.images if scale.pictures else 0
    result = IngestResult("file:///landing/2026-05-04", found=images + 12 if images else 0, ingested=images)
    result.seconds = 83.42 if images else 0.3
    result.table_version = 7
    result.ever_found = True
    if images:
        result.quarantined = Counter({"not an image": 9, "empty file": 2, scale.names[0]: 1})
        result.quarantined_files = [
            (scale.path(number), reason) for number, reason in enumerate(sorted(result.quarantined.elements()))
        ]
        result.classes = Counter(dict.fromkeys(enumerate(scale.names, 1), scale.images))
        result.classes[len(scale.names), scale.names[-1]] = 1
        result.new_classes = {1, len(scale.names)}
        result.without_class = Counter({IN_DOUBT: 2, f"class 1 has the name 'dog', not '{scale.names[0]}'": 1})
        result.several_numbers = {scale.names[0]: [1, 7]}
        result.doubt = "its files lie at different depths"
        result.discovery.modes = ["full listing"]
        result.discovery.listed = result.found
        result.discovery.suffixes.update({".txt": 12, "": 1})
        result.discovery.hidden = 4
        result.sample = [(scale.path(number), photograph(number)) for number in range(scale.pictures)]
    return result


def training_set(scale: Scale = USUAL) -> TrainingSet:
    return TrainingSet(
        id="5f1d0c9b2a7e4836",
        uri="file:///lake/training_sets/5f1d0c9b2a7e4836",
        classes=[
            ImageClass(index=index, label=scale.label(index), name=name) for index, name in enumerate(scale.names)
        ],
        counts={name: count * len(scale.names) for name, count in _split(scale).items()},
        segments_uri="file:///lake/segments",
        segments=[Segment(name=f"{name}-segment", split=name, row_groups=[128], bytes=8_000_000) for name in SplitName],
        table_versions={"images": 7, "labels": 3, "classes": 1},
        validation_fraction=0.1,
        test_fraction=0.1,
        split_seed=0,
        left_out={"one content with different labels": 4, "the same content at another path": 1_234}
        if scale.pictures
        else {},
    )


def build_result(scale: Scale = USUAL) -> BuildResult:
    members = len(scale.names) * sum(_split(scale).values())
    added = Amount(members // 100, members // 100 * 68_000)
    return BuildResult(
        training_set(scale),
        {label: _split(scale) for label in scale.labels},
        reused=Amount(members - added.images, (members - added.images) * 68_000),
        added=added,
        new_segments=3,
        merged_segments=40 if scale.pictures else 0,
        left_out={reason: Amount(images, images * 68_000) for reason, images in training_set(scale).left_out.items()},
        arrivals=_arrivals(scale),
        seconds=21.7,
    )


def _arrivals(scale: Scale) -> Arrivals:
    """Return images of 60 months, of which one is without any; of one month if the scale has few images."""
    labels = tuple(scale.labels)[:5]
    months = [f"{2021 + number // 12}-{number % 12 + 1:02}" for number in range(60 if scale.pictures else 1)]
    images: dict[str, dict[int | None, int]] = {}
    for number, month in enumerate(months):
        if number != 50:
            images[month] = {label: 10 * (1 + (number + place) % 7) for place, label in enumerate(labels)}
            if len(scale.names) > len(labels):
                images[month][None] = 400
    return Arrivals(labels, images)


def _split(scale: Scale) -> dict[SplitName, int]:
    return {SplitName.TRAIN: 10 * scale.images, SplitName.VALIDATION: scale.images, SplitName.TEST: scale.images}


def training_request() -> TrainingRequest:
    return TrainingRequest.make(
        Files(),
        training_set="file:///lake/training_sets/5f1d0c9b2a7e4836",
        backbone=BackboneName.XCEPTION,
        ranks=2,
        mlflow_tracking_uri="http://mlflow",
        experiment="images",
        run_directory="file:///lake/runs/a",
        features_directory="file:///lake/features",
    )


def training_result(scale: Scale = USUAL) -> TrainingResult:
    epochs = {"usual": 6, "many": 200, "few": 1}[next(name for name, each in SCALES.items() if each == scale)]
    history = [
        EpochMetrics(
            epoch=epoch,
            loss=2.4 / epoch + 0.21,
            accuracy=1 - 0.7 / epoch,
            val_loss=2.1 / epoch + 0.3,
            val_accuracy=1 - 0.6 / epoch,
            images=10 * scale.images * len(scale.names),
            val_images=scale.images * len(scale.names),
            seconds=12.25,
        )
        for epoch in range(1, epochs + 1)
    ]
    return TrainingResult(
        run_id="0b6c37b1d4a24d0c8f7e",
        model_uri="models:/m-0123456789abcdef",
        model_digest="9" * 64,
        training_set_id="5f1d0c9b2a7e4836",
        ranks=2,
        history=history,
        best_epoch=epochs,
        first_epoch=1,
        steps=2_700,
        features_computed=7_200,
        weights_digests=["a", "a"],
        seconds=75.4,
    )


# An image's true class id, and the class ids that challenger and champion predict.
_Predictions = tuple[int, int, int]


def evaluation_result(scale: Scale = USUAL, lost_class: int | None = None) -> EvaluationResult:
    """Return an evaluation in which the challenger recognizes no image of one class."""
    made = training_set(scale)
    comparison = _compare(scale, lost_class)
    images = sum(comparison.groups[group].challenger.total for group in (ImageGroup.MEASURED, ImageGroup.REQUESTED))
    mistakes = [
        Mistake(
            0.99 - number / 100,
            scale.path(number),
            scale.label(number),
            scale.label(number + 1),
            photograph(number),
        )
        for number in range(scale.pictures)
    ]
    return EvaluationResult(
        made,
        decide(Gate(minimum_accuracy=0.7, minimum_class_recall=0.5), comparison, class_names(made)),
        comparison,
        {"challenger": images, "champion": images // 10} if comparison.champion_version else {"challenger": images},
        mistakes,
    )


def _compare(scale: Scale, lost_class: int | None) -> Comparison:
    """Return a comparison in which every 20th image is fresh, and one image of each class was requested."""
    random = np.random.default_rng(0)
    measured: list[_Predictions] = []
    for label in scale.labels:
        for _ in range(scale.images):
            ours, theirs = (
                label if right else int(random.choice(scale.labels)) for right in random.random(2) < (0.9, 0.8)
            )
            measured.append((label, label % len(scale.names) + 1 if label == lost_class else ours, theirs))
    has_champion = scale.pictures > 0
    requested = [(label, label, scale.label(1)) for label in scale.labels] if has_champion else []
    rows = {
        ImageGroup.MEASURED: measured,
        ImageGroup.FRESH: measured[::20] if has_champion else [],
        ImageGroup.REQUESTED: requested,
    }
    return Comparison(
        {group: _outcome(predictions, has_champion) for group, predictions in rows.items()},
        "3" if has_champion else "",
        is_challenger=False,
        weeks_since_promotion=2.5 if has_champion else None,
    )


def _outcome(rows: list[_Predictions], has_champion: bool) -> GroupOutcome:
    return GroupOutcome(
        Tally.of((true, ours, 1) for true, ours, _ in rows),
        Tally.of((true, theirs, 1) for true, _, theirs in rows) if has_champion else None,
        Paired.of((true, ours == true, theirs == true, 1) for true, ours, theirs in rows) if has_champion else None,
    )


def score_result(scale: Scale = USUAL) -> ScoreResult:
    result = ScoreResult("image-classifier", "4", table_version=12, seconds=64.7)
    if not scale.pictures:
        return result
    random = np.random.default_rng(1)
    scores = random.beta(6, 1, len(scale.names) * scale.images)
    result.scored, result.failed, result.uncertain = len(scores), 2, int((scores < 0.95).sum())
    result.histogram = np.histogram(scores, HISTOGRAM_BINS, (0, 1))[0].tolist()
    result.by_label = Counter(random.choice(scale.labels, len(scores), p=_uneven(scale)).tolist())
    result.class_names = dict(zip(scale.labels, scale.names, strict=True))
    result.class_fractions = ClassFractions(result.by_label, dict.fromkeys(scale.labels, 10 * scale.images))
    result.failures = [(scale.path(number), "not an image: <truncated> file") for number in range(2)]
    result.examples = [
        ScoredImage(scale.path(number), photograph(number), scale.label(number), 0.12 + number / 100)
        for number in range(scale.pictures)
    ]
    result.test_accuracy = 0.953
    result.field_accuracy = FieldAccuracy(
        {
            (str(version), MONDAY + timedelta(weeks=5 * version + week)): Audits(60, 40 + week, 30 + 2 * version + week)
            for version in range(1, 5)
            for week in range(6)
        }
    )
    return result


def _uneven(scale: Scale) -> Any:
    weights = np.linspace(1, 3, len(scale.names))
    return weights / weights.sum()


def export_result(scale: Scale = USUAL) -> ExportResult:
    result = ExportResult(
        "https://account.blob.core.windows.net/to-label", Choice(threshold=0.925, fraction=0.1), seconds=1.2
    )
    if scale.pictures:
        result.candidates, result.uncertain, result.seconds = 2_410, 611, 38.3
        examples = [
            ExportedImage(
                scale.path(number),
                photograph(number),
                scale.names[number % len(scale.names)],
                0.2 + number / 50,
                AUDIT if number % 3 == 0 else UNCERTAIN,
            )
            for number in range(scale.pictures)
        ]
        resumed = ExportedBatch(
            "20260503T020000Z-0f3e2d1c", "https://a/to-label/20260503T020000Z-0f3e2d1c/manifest.jsonl"
        )
        resumed.by_reason, resumed.resumed, resumed.deleted = Counter({UNCERTAIN: 12}), True, 1
        new = ExportedBatch("20260504T020000Z-9a8b7c6d", "https://a/to-label/20260504T020000Z-9a8b7c6d/manifest.jsonl")
        new.by_reason, new.examples = Counter({UNCERTAIN: 61, AUDIT: 24}), examples
        result.batches = [resumed, new]
    return result


def import_result(scale: Scale = USUAL) -> ImportResult:
    result = ImportResult("file:///answers", seconds=4.2, table_version=3)
    if scale.pictures:
        result.files, result.read, result.imported = 3, 130, 118
        result.rejected = [
            Rejection("file:///answers/a.csv, line 17", REPEATED_ID),
            Rejection("file:///answers/b.jsonl, line 2", f"name: '{scale.names[0]}' is not allowed for a new class."),
            Rejection("file:///answers/a.csv, line 18", REPEATED_ID),
            Rejection("file:///answers/c.json, task 7, annotation 1", "label: empty.", outcome=Outcome.EMPTY),
        ]
        result.labeled, result.skips, result.unfinished = 114, 16, 2_345
        result.waiting = {name: 4 - number for number, name in enumerate(scale.names[-3:])}
        result.others = {".xlsx": OtherFiles(2, f"{scale.names[0]}.xlsx"), "": OtherFiles(1, "README")}
        result.conflicts = [(scale.path(number), [scale.labels[0], scale.labels[-1]]) for number in range(3)]
        result.by_label = {label: 3 + label % 7 for label in scale.labels}
        result.predicted, result.model_agreed, result.skipped = 40, 33, 4
        result.several_people, result.people_agreed = 20, 17
        result.class_names = dict(zip(scale.labels, scale.names, strict=True))
        result.new_classes = {5000 + number: name for number, name in enumerate(scale.names[:3])}
        result.new_labels, result.retrain = 96, True
    return result


def _image_trace(scale: Scale) -> ImageTrace:
    return image_trace(photograph(0), scale.names[:3]) if scale.pictures else empty_trace()


def _model_trace(scale: Scale) -> ModelTrace:
    return model_trace(training_set(scale), 1_000, scale.names[0]) if scale.pictures else model_trace(days=0)


def write_reports(folder: Path, scale: Scale) -> dict[str, Path]:
    """Write the report of each component, and of traces, for results of a scale; return the pages by name."""
    request = training_request()
    write: dict[str, Callable[[str], None]] = {
        "ingest_images": lambda path: ingest_report.write_report(ingest_result(scale), path),
        "build_training_set": lambda path: build_report.write_report(build_result(scale), path),
        "train_classifier": lambda path: train_report.write_report(request, training_result(scale), path),
        "evaluate_classifier": lambda path: evaluate_report.write_report(evaluation_result(scale), path),
        "score_images": lambda path: score_report.write_report(score_result(scale), path),
        "export_for_labeling": lambda path: export_report.write_report(export_result(scale), path),
        "import_labels": lambda path: import_report.write_report(import_result(scale), path),
        "trace_image": lambda path: as_report(describe_image(_image_trace(scale))).write(path),
        "trace_model": lambda path: as_report(describe_model(_model_trace(scale))).write(path),
    }
    pages = {name: folder / f"{name}.html" for name in write}
    for name, path in pages.items():
        write[name](str(path))
    return pages
