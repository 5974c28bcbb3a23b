"""The lake: Delta tables under one root URI."""

from components.lake.lake import Lake, Split
from components.lake.tables import TABLES, Table

__all__ = ["TABLES", "Lake", "Split", "Table"]
