"""Charts for reports, drawn by matplotlib without its global state."""

import base64
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.typing import RcKeyType

# A vector chart of thousands of points is larger than a PNG: above this size, charts are PNG.
_SVG_BYTES = 120_000
_PNG_DOTS_PER_INCH = 130
# Longest class name that a chart has room for, in characters.
_NAME_LENGTH = 24
_INK = "#3d454d"
# Steps between ticks. MaxNLocator's default steps include 1.5 and 8, which are harder to read.
_TICK_STEPS = (1, 2, 2.5, 5, 10)
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
    # Text stays text: the browser's fonts cover more languages, and the page is smaller.
    "svg.fonttype": "none",
    # Fixed names and no date: the same figure gives the same bytes.
    "svg.hashsalt": "report",
    "text.color": _INK,
    # A class name may contain dollar signs.
    "text.parse_math": False,
    "xtick.color": "#5a646e",
    "ytick.color": "#5a646e",
}


@contextmanager
def new_figure(width: float = 7.5, height: float = 3.2) -> Iterator[tuple[Figure, Axes]]:
    """Yield an empty figure and its axes, and draw in the style of the reports.

    Args:
        width: Inches.
        height: Inches.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def add_legend(axes: Axes) -> None:
    """Add a legend in one line above the axes, where it covers no data."""
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(labels), borderaxespad=0.3)


def draw_class_bars(
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    axis_label: str,
    are_fractions: bool = False,
    are_stacked: bool = False,
) -> Figure:
    """Draw horizontal bars of each class, from top to bottom.

    Args:
        names: Names of the classes.
        series: Values of the classes by the name of the series. A legend names the series if there are several.
        axis_label: Title of the axis of values, with their unit.
        are_fractions: Whether the values are fractions, shown in percent; otherwise they are counts.
        are_stacked: Whether the bars of a class form one bar instead of standing below each other.
    """
    places = np.arange(len(names))
    rows = 1 if are_stacked else len(series)
    thickness = 0.8 / rows
    with new_figure(height=1.1 + (0.1 + 0.14 * rows) * len(names)) as (figure, axes):
        left = np.zeros(len(names))
        for number, (label, values) in enumerate(series.items()):
            offset = 0 if are_stacked else (number - (rows - 1) / 2) * thickness
            axes.barh(places + offset, values, thickness, left=left if are_stacked else 0, label=label)
            left += values
        axes.set_yticks(places, [short(name) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1) if are_fractions else "{x:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator("auto", steps=_TICK_STEPS, integer=not are_fractions))
        axes.set_xlabel(axis_label)
        if len(series) > 1:
            add_legend(axes)
    return figure


def short(name: str) -> str:
    """Shorten a name for a chart, and replace control characters, which SVG forbids."""
    clean = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    return clean if len(clean) <= _NAME_LENGTH else clean[: _NAME_LENGTH - 1] + "…"


def data_uri(figure: Figure) -> str:
    """Draw a figure on white as a `data:` URI: SVG, or PNG if the SVG is large."""
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Matplotlib measures text with a font that has fewer glyphs than the browser's.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        vector = io.BytesIO()
        figure.savefig(vector, format="svg", facecolor="white", metadata={"Date": None})
        if vector.tell() <= _SVG_BYTES:
            return "data:image/svg+xml;base64," + base64.b64encode(vector.getvalue()).decode()
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", facecolor="white", dpi=_PNG_DOTS_PER_INCH)
        return "data:image/png;base64," + base64.b64encode(pixels.getvalue()).decode()
