"""The formats of the report. The command line imports only this module to parse its arguments."""

from enum import StrEnum


class ReportFormat(StrEnum):
    """How the findings are printed.

    Attributes:
        TEXT: As sentences.
        JSON: As one object.
    """

    TEXT = "text"
    JSON = "json"
