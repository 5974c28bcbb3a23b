"""Write the report of a training set."""

from pathlib import Path

from matplotlib.figure import Figure

from components.build_training_set.build import BuildResult
from components.report import Report, draw_class_bars, duration, new_figure, short
from components.training_set.manifest import SplitName

_SPLITS = {SplitName.TRAIN: "Training", SplitName.VALIDATION: "Validation", SplitName.TEST: "Test"}
# Maximum number of classes in a chart.
_CHART_CLASSES = 25
# Maximum number of months in a chart, and of their names.
_CHART_MONTHS = 36
_MONTH_NAMES = 8
_LEGEND_COLUMNS = 3


def write_report(result: BuildResult, path: str) -> None:
    """Write a page with what the build reused, added and left out, and the images by class, split and month."""
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
    _add_arrivals(report, result)
    _add_storage(report, result)
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
    report.write(Path(path))


def _add_storage(report: Report, result: BuildResult) -> None:
    rows = [
        ("Reused", "earlier training sets have the content", result.reused),
        ("Added", f"new content, in {result.new_segments:,} new segments", result.added),
        *(("Left out", reason, amount) for reason, amount in sorted(result.left_out.items())),
    ]
    report.table(
        "Labeled images that were reused, added and left out",
        ("Labeled images", "Reason", "Images", "Megabytes of their files"),
        [(outcome, reason, amount.images, amount.bytes / 1e6) for outcome, reason, amount in rows],
    )
    if result.merged_segments:
        report.text(
            f"{result.merged_segments:,} small segments were merged into larger ones. Earlier training sets keep them."
        )


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


def _add_arrivals(report: Report, result: BuildResult) -> None:
    """Add the class balance over time, if the images arrived in several months."""
    arrivals = result.arrivals
    if len(arrivals.months) < 2:
        return
    names = {item.label: item.name for item in result.training_set.classes}
    months = arrivals.months[-_CHART_MONTHS:]
    series = [(short(names[label]), arrivals.series(label)[-_CHART_MONTHS:]) for label in arrivals.labels]
    others = len(names) - len(series)
    if others:
        series.append((f"{others:,} other classes", arrivals.series(None)[-_CHART_MONTHS:]))
    extent = f": the last {len(months)} months" if len(months) < len(arrivals.months) else ""
    report.chart(
        f"Images by month of arrival and class{extent}",
        _draw_months(months, series),
        alt=f"Columns of the number of images that arrived in each month from {months[0]} to {months[-1]}, divided by"
        " class, largest class first",
    )


def _draw_months(months: list[str], series: list[tuple[str, list[int]]]) -> Figure:
    with new_figure(height=3.4) as (figure, axes):
        bottom = [0] * len(months)
        for name, images in series:
            axes.bar(range(len(months)), images, 0.8, bottom=bottom, label=name)
            bottom = [low + height for low, height in zip(bottom, images, strict=True)]
        step = -(-len(months) // _MONTH_NAMES)
        axes.set_xticks(range(0, len(months), step), months[::step])
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylabel("images")
        # Several lines: six names are wider than the chart.
        figure.legend(loc="outside upper left", ncols=_LEGEND_COLUMNS)
    return figure
