"""The results of the checks as text for people and as JSON for programs."""

import json
from collections.abc import Iterable
from typing import TextIO

from pipelines.doctor.examine import Checked
from pipelines.doctor.finding import Level
from pipelines.doctor.formats import ReportFormat

_MARKS = {Level.OK: "ok     ", Level.WARNING: "WARNING", Level.ERROR: "ERROR  "}
_INDENT = " " * 10


def write_report(results: Iterable[Checked], form: ReportFormat, stream: TextIO) -> Level:
    """Print the results, and return the most serious level.

    Args:
        results: The results. As text, each is printed as soon as its check ends.
        form: The format.
        stream: Where to print.
    """
    counts = dict.fromkeys(Level, 0)
    objects = []
    for checked in results:
        if form is ReportFormat.TEXT:
            stream.write(f"{checked.name}\n")
        for finding in checked.findings:
            counts[finding.level] += 1
            objects.append(
                {
                    "check": str(checked.name),
                    "level": str(finding.level),
                    "what": finding.what,
                    "remedy": finding.remedy,
                }
            )
            if form is ReportFormat.TEXT:
                stream.write(f"  {_MARKS[finding.level]} {finding.what}\n")
                if finding.remedy:
                    stream.write(f"{_INDENT}{finding.remedy}\n")
        stream.flush()
    worst = next((level for level in (Level.ERROR, Level.WARNING) if counts[level]), Level.OK)
    if form is ReportFormat.JSON:
        json.dump({"level": str(worst), "findings": objects}, stream, indent=2, ensure_ascii=False)
        stream.write("\n")
    else:
        stream.write(f"{counts[Level.ERROR]} errors, {counts[Level.WARNING]} warnings, {counts[Level.OK]} ok\n")
    stream.flush()
    return worst
