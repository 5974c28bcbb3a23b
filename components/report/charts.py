"""Charts for reports, drawn by matplotlib without its global state."""

import base64
import io
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

# Above this a vector chart (thousands of points) is larger than its pixels.
_SVG_BYTES = 120_000
_PNG_DOTS_PER_INCH = 130
_STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a939c",
    "axes.grid": True,
    "axes.labelcolor": "#3d454d",
    "axes.prop_cycle": cycler(color=["#2f6fd0", "#e07b1a", "#2a9d6f", "#c2417c", "#7a5bc7", "#8a939c"]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.5,
    "grid.color": "#e4e8ec",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 4,
    "patch.linewidth": 0,
    "xtick.color": "#5a646e",
    "ytick.color": "#5a646e",
}


def new_figure(width: float = 7.5, height: float = 3.2) -> tuple[Figure, Axes]:
    """Return an empty figure in the reports' style, with its axes. It needs no closing.

    Args:
        width: Inches.
        height: Inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def data_uri(figure: Figure) -> str:
    """Draw a figure on white, as a `data:` URI: SVG, or PNG when the SVG would be large."""
    vector = io.BytesIO()
    # Fixed names and no date: the same figure gives the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "report"}):
        figure.savefig(vector, format="svg", facecolor="white", metadata={"Date": None})
    if vector.tell() <= _SVG_BYTES:
        return "data:image/svg+xml;base64," + base64.b64encode(vector.getvalue()).decode()
    pixels = io.BytesIO()
    figure.savefig(pixels, format="png", facecolor="white", dpi=_PNG_DOTS_PER_INCH)
    return "data:image/png;base64," + base64.b64encode(pixels.getvalue()).decode()
