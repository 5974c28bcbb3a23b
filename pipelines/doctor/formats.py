"""The formats of the report. This module loads fast, for the command line."""

from enum import StrEnum


class ReportFormat(StrEnum):
    """How the findings are printed.

    Attributes:
        TEXT: As sentences.
        JSON: As one object.
    """

    TEXT = "text"
    JSON = "json"
