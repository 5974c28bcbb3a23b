"""Charts for reports, drawn by matplotlib without its global state."""

import base64
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

# Above this a vector chart (thousands of points) is larger than its pixels.
_SVG_BYTES = 120_000
_PNG_DOTS_PER_INCH = 130
# Characters of a name that a chart has room for.
_NAME_LENGTH = 24
_INK = "#3d454d"
_STYLE: dict[RcKeyType, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#8a939c",
    "axes.grid": True,
    "axes.labelcolor": _INK,
    "axes.prop_cycle": cycler(color=["#2f6fd0", "#e07b1a", "#2a9d6f", "#c2417c", "#7a5bc7", "#8a939c"]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 9.5,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "lines.linewidth": 2,
    "lines.markersize": 4,
    "patch.linewidth": 0,
    # Letters stay letters: the reader's own fonts have those of more languages, and the page is smaller.
    "svg.fonttype": "none",
    # Fixed names and no date: the same figure gives the same bytes.
    "svg.hashsalt": "report",
    "text.color": _INK,
    # Names of classes are no formulas, whatever they have in them.
    "text.parse_math": False,
    "xtick.color": "#5a646e",
    "ytick.color": "#5a646e",
}


@contextmanager
def new_figure(width: float = 7.5, height: float = 3.2) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure with its axes. What is drawn inside of the context has the reports' style.

    Args:
        width: Inches.
        height: Inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def short(name: str) -> str:
    """Return a name as a chart has room for it, without what an SVG can't hold: control characters."""
    clean = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name)
    return clean if len(clean) <= _NAME_LENGTH else clean[: _NAME_LENGTH - 1] + "…"


def data_uri(figure: Figure) -> str:
    """Draw a figure on white, as a `data:` URI: SVG, or PNG when the SVG would be large."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # The font that text is measured with lacks letters which the reader's has.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        vector = io.BytesIO()
        figure.savefig(vector, format="svg", facecolor="white", metadata={"Date": None})
        if vector.tell() <= _SVG_BYTES:
            return "data:image/svg+xml;base64," + base64.b64encode(vector.getvalue()).decode()
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", facecolor="white", dpi=_PNG_DOTS_PER_INCH)
        return "data:image/png;base64," + base64.b64encode(pixels.getvalue()).decode()
