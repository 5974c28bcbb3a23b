"""Write the report of a training set."""

from pathlib import Path

from components.build_training_set.build import BuildResult
from components.report import Report, draw_class_bars, duration
from components.training_set.manifest import SplitName

_SPLITS = {SplitName.TRAIN: "Training", SplitName.VALIDATION: "Validation", SplitName.TEST: "Test"}
# Maximum number of classes in a chart.
_CHART_CLASSES = 25


def write_report(result: BuildResult, path: str) -> None:
    """Write a page with images by class and split, versions and omitted images."""
    training_set = result.training_set
    counts = training_set.counts
    report = Report(
        "Training set",
        training_set.id,
        f"The training set has {counts[SplitName.TRAIN]:,} training, {counts[SplitName.VALIDATION]:,} validation and"
        f" {counts[SplitName.TEST]:,} test images of {len(training_set.classes):,} classes.",
    )
    report.figures(
        {
            **{f"{name} images": counts[split] for split, name in _SPLITS.items()},
            "Classes": len(training_set.classes),
            "Duration": duration(result.seconds),
        }
    )
    _add_chart(report, result)
    report.table(
        "Images by class",
        ("Label", "Class", *(f"{name} images" for name in _SPLITS.values())),
        [
            (str(item.label), item.name, *(result.counts[item.label].get(split, 0) for split in _SPLITS))
            for item in training_set.classes
        ],
    )
    versions = [(name, str(number)) for name, number in training_set.table_versions.items()]
    report.table("Versions of the source tables", ("Table", "Version"), versions)
    if training_set.left_out:
        report.table("Labeled images that are not members", ("Reason", "Images"), list(training_set.left_out.items()))
    report.write(Path(path))


def _add_chart(report: Report, result: BuildResult) -> None:
    classes = sorted(result.training_set.classes, key=lambda item: -sum(result.counts[item.label].values()))
    shown = classes if len(classes) <= _CHART_CLASSES else classes[-_CHART_CLASSES:]
    extent = f": the {len(shown)} smallest of {len(classes):,} classes" if len(shown) < len(classes) else ""
    figure = draw_class_bars(
        [item.name for item in shown],
        {name.lower(): [result.counts[item.label].get(split, 0) for item in shown] for split, name in _SPLITS.items()},
        "images",
        are_stacked=True,
    )
    smallest = classes[-1]
    report.chart(
        f"Images by class and split{extent}",
        figure,
        alt=f"Bars of the number of images of each class, largest class first. The smallest class, {smallest.name}, has"
        f" {sum(result.counts[smallest.label].values()):,} images. The table below has the figures",
    )
