"""The status of imports: the exports that were read, and the rule by which the labels were decided.

A run writes it last. If a run is killed, the next one repeats it, which is idempotent. If the rule changes, the next
run decides the labels of all images again.
"""

from pydantic import BaseModel

from components.lake import Lake
from components.parameters.labeling import LabelRule
from components.storage.notes import read_note

NAME = "import_labels"


class ImportStatus(BaseModel):
    """The work of earlier runs.

    Attributes:
        rule: Rule by which the table `labels` was made; empty before the first import.
        exports: Version of each export that was read completely, by source and name.
        found: Sources in which a file was ever found.
        reported_classes: New classes that the last import of a source reported, by source. They count from the next
            run on.
        reported_by: Id of the last run; empty outside of a pipeline. Its further attempts only report again.
    """

    rule: str = ""
    exports: dict[str, dict[str, str]] = {}
    found: list[str] = []
    reported_classes: dict[str, list[str]] = {}
    reported_by: str = ""


def read_rule(lake: Lake) -> LabelRule:
    """Return the rule by which the table `labels` was made, or the default before the first import."""
    status = read_note(lake.root, NAME, ImportStatus, lake.files)
    return LabelRule(status.rule) if status and status.rule else LabelRule.UNANIMOUS
