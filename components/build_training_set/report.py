"""The page about a training set."""

from pathlib import Path

from components.build_training_set.build import BuildResult
from components.build_training_set.training_set import SplitName
from components.report import Report, duration


def write_report(result: BuildResult, path: str) -> None:
    """Write the page: images by class and split, table versions, and what was left out."""
    made = result.training_set
    report = Report("Training set", made.id)
    report.figures(
        {
            **{f"{name.value.capitalize()} images": count for name, count in made.counts.items()},
            "Classes": len(made.classes),
            "Duration": duration(result.seconds),
        }
    )
    report.table(
        "Images by class",
        ("Label", "Class", *(f"{name.value.capitalize()} images" for name in SplitName)),
        [
            (str(item.label), item.name, *(result.counts[item.label].get(name, 0) for name in SplitName))
            for item in made.classes
        ],
    )
    versions = [(name, str(number)) for name, number in made.table_versions.items()]
    report.table("Versions of the tables it was made from", ("Table", "Version"), versions)
    if made.left_out:
        report.table("Labelled images left out", ("Reason", "Images"), list(made.left_out.items()))
    report.write(Path(path))
