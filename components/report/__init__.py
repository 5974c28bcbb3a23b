"""HTML reports of the components: one self-contained page each, which fetches nothing.

This package imports matplotlib and Pillow. A component's shim must not import it at module level.
"""

from components.report.charts import add_legend, draw_class_bars, new_figure, short
from components.report.numbers import duration, percent, percent_range, percent_text
from components.report.page import Card, Cell, Picture, Report
from components.report.preview import Preview, PreviewImage, read_preview

__all__ = [
    "Card",
    "Cell",
    "Picture",
    "Preview",
    "PreviewImage",
    "Report",
    "add_legend",
    "draw_class_bars",
    "duration",
    "new_figure",
    "percent",
    "percent_range",
    "percent_text",
    "read_preview",
    "short",
]
