"""Draws how times grow, as PNG files.

The plots of start, resume, save and get are by the number of processes, and those of a step by the
number of finished calls.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator
from measured import BEFORE, RIVAL, Results, spread
from report import amount

WIDTH, HEIGHT, DPI = 6.4, 3.6, 150  # inches, inches, dots an inch: README width at twice the dots

OURS = "#0b6e4f"
PALE = "#5fb49c"
LINES = {  # subject: its label and colour
    "ours": ("units", OURS),
    "cold": ("units, cold", OURS),
    "warm": ("units, warm", PALE),
    RIVAL: (RIVAL, "#b5562f"),
    "pieces": ("pieces apart", OURS),
    "text": ("one text", PALE),
    BEFORE: (BEFORE, "#b5562f"),
    "json": ("json, full text", "#8c5a94"),
    "orjson": ("orjson, full text", "#b48bbd"),
    "pickle": ("pickled specs", "#a38b3d"),
    "engine": ("engine alone", "#9a9a9a"),
    "read": ("reading the unit", "#9a9a9a"),
    "loads": ("orjson.loads", "#b48bbd"),
    "write": ("writing the bytes", "#9a9a9a"),
}
STEPS = ("pieces", "text", BEFORE, "json")
LIMITS = ("engine", "read", "write")
PLOTS = {  # file name: title, case, subjects
    "start": ("Start an instance", "start", ("cold", "warm", "json", "orjson", "pickle", "engine")),
    "resume": (
        "Resume an instance",
        "resume",
        ("cold", "warm", "json", "orjson", "pickle", "engine"),
    ),
    "save": ("Save an instance", "save", ("ours", "json", "orjson", "pickle")),
    "get": ("Get the start unit", "get start", ("ours", RIVAL, "read")),
    "cache": ("Cache a workflow", "cache", ("ours", RIVAL, "loads", "write")),
    "tree": ("A step after calls that call others", "step, tree", STEPS),
    "loop": ("A step after a loop of calls", "step, loop", STEPS),
}


def draw(results: Results, folder: Path) -> None:
    """Write a plot for every case that was measured at three sizes or more."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.edgecolor": "#888888", "text.color": "#333333"})
    for name, (title, case, subjects) in PLOTS.items():
        lines = {subject: results.sizes(case, subject) for subject in subjects}
        lines = {subject: rounds for subject, rounds in lines.items() if len(rounds) > 2}
        if lines:
            figure, axes = pyplot.subplots(figsize=(WIDTH, HEIGHT), dpi=DPI)
            on = "finished calls" if subjects is STEPS else "processes in the workflow"
            _plot(axes, title, lines, on)
            figure.tight_layout()
            figure.savefig(folder / f"{name}.png", metadata={"Software": None})
            pyplot.close(figure)


def _plot(axes: Axes, title: str, lines: dict[str, dict[int, list[float]]], on: str) -> None:
    axes.set(xscale="log", yscale="log", xlabel=on)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    ends = {}
    for subject, by_size in lines.items():
        label, colour = LINES[subject]
        sizes = list(by_size)
        low, middle, high = zip(*(spread(rounds) for rounds in by_size.values()))
        style = "--" if subject in LIMITS else "-"
        axes.plot(sizes, middle, style, color=colour, marker="o", markersize=3, linewidth=1.6)
        axes.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
        ends[label] = (sizes[-1], median(by_size[sizes[-1]]), colour)
    sizes = sorted({size for by_size in lines.values() for size in by_size})
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda seconds, _: amount(seconds, "s")))
    axes.grid(True, color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0, labelcolor="#555555")
    _label(axes, ends)


def _label(axes: Axes, ends: dict[str, tuple[int, float, str]]) -> None:
    """Name each line at its right end, so that no names overlap and none is above the axes."""
    bottom, top = axes.get_ylim()
    step = (top / bottom) ** 0.065
    lines = sorted(ends.items(), key=lambda end: end[1][1])
    heights = [y for _, (_, y, _) in lines]
    for number in range(1, len(heights)):
        heights[number] = max(heights[number], heights[number - 1] * step)
    for number in reversed(range(len(heights))):
        above = heights[number + 1] if number + 1 < len(heights) else top * step
        heights[number] = min(heights[number], above / step)
    for (label, (x, _, colour)), height in zip(lines, heights):
        axes.annotate(
            label, (x, height), (7, 0), textcoords="offset points", color=colour, va="center"
        )
