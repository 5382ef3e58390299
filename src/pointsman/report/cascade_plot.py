"""Quality against what running costs: cascades over all thresholds, and what they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.report.figure import (
    INK,
    MARKERS,
    PALETTE,
    QUIET,
    caption,
    label_points,
    new_figure,
    styled,
    title,
)
from pointsman.types import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Line:
    """A way of deciding over all its thresholds; arrays of one shape."""

    name: str
    run_cost: Floats
    quality: Floats


@dataclass(frozen=True, slots=True)
class Point:
    """A way of deciding without a threshold."""

    name: str
    run_cost: float
    quality: float


def plot_cascade(
    lines: Sequence[Line], points: Sequence[Point], ends: tuple[Point, Point], about: str
) -> Figure:
    """Draw mean quality over mean run cost.

    Args:
        lines: cascades, one line each.
        points: marked and named.
        ends: the small and the large model; the line between them is escalation by chance from the small
            one, whose cost is paid in any case.
        about: where the numbers are from, for the caption.
    """
    figure = new_figure()
    (axes,) = styled(figure)
    small, large = ends
    axes.plot(
        [small.run_cost, small.run_cost + large.run_cost], [small.quality, large.quality],
        color=QUIET, linestyle=(0, (5, 2)), label="cascade at random",
    )  # fmt: skip
    for at, line in enumerate(lines):
        axes.plot(line.run_cost, line.quality, color=PALETTE[at], linewidth=2, label=line.name)
    for at, point in enumerate(points):
        axes.plot(point.run_cost, point.quality, MARKERS[at % len(MARKERS)], color=INK, markersize=7)
    axes.set(xlabel="mean cost of running, c_run", ylabel="share of right answers")
    label_points(
        axes,
        [(point.run_cost, point.quality) for point in points],
        [point.name for point in points],
        [(line.run_cost.tolist(), line.quality.tolist()) for line in lines],
    )
    title(axes, "What a cascade buys: right answers for what running costs")
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    caption(figure, about)
    return figure
