"""HTML reports of the components: one self-contained page each, which fetches nothing.

Imports matplotlib and Pillow: the logic of a component imports it, a KFP shim's top level does not.
"""

from components.report.charts import new_figure, short
from components.report.numbers import duration, percent, percent_range, percent_text
from components.report.page import Cell, Picture, Report

__all__ = ["Cell", "Picture", "Report", "duration", "new_figure", "percent", "percent_range", "percent_text", "short"]
