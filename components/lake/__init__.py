"""The lake: Delta tables under one root URI, the Spark session that reads them, and the lock of their writers."""

from components.lake.frames import frame
from components.lake.lake import Lake, Split
from components.lake.session import spark_session
from components.lake.tables import TABLES, Table

__all__ = ["TABLES", "Lake", "Split", "Table", "frame", "spark_session"]
