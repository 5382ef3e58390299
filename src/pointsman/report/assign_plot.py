"""Quality against cost of ways to choose an endpoint, and what became of floors that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pointsman.report.figure import INK, MARKERS, PALETTE, QUIET, caption, new_figure, styled, title
from pointsman.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN, _HEIGHT_IN = 11.0, 8.4
_LOG_FROM = 8.0


@dataclass(frozen=True, slots=True)
class Curve:
    """A way of choosing over all its settings; arrays of one shape, cost as a share of the best single's."""

    name: str
    cost_share: Floats
    quality: Floats


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """One set: curves, and as (cost share, quality) each endpoint alone and ways without a setting by name."""

    name: str
    curves: Sequence[Curve]
    alone: Sequence[tuple[float, float]]
    points: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class FloorPanel:
    """One set: floors asked, shape (F,), and what was reached of each way, means and 90% of folds, shape (3, F)."""

    name: str
    asked: Floats
    reached: Sequence[tuple[str, Floats]]


def plot_curves(panels: Sequence[CurvePanel], about: str) -> Figure:
    """Draw mean quality over mean cost, one panel a set.

    Args:
        panels: up to six; up to eight curves and eight points, of which those of one name look alike.
        about: where the numbers are from, for the caption.
    """
    figure = new_figure(_WIDTH_IN, _HEIGHT_IN)
    names = list(dict.fromkeys(curve.name for panel in panels for curve in panel.curves))
    placed = list(dict.fromkeys(name for panel in panels for name in panel.points))
    rows = -(-len(panels) // 2)
    grid = styled(figure, rows, 2)
    for axes, panel in zip(grid, panels, strict=False):
        for curve in panel.curves:
            axes.plot(
                curve.cost_share, curve.quality, color=PALETTE[names.index(curve.name)], linewidth=1.8,
                label=curve.name,
            )  # fmt: skip
        cost, quality = np.array(panel.alone).T
        axes.plot(cost, quality, "o", color=INK, markersize=4, label="one endpoint for all")
        for name, (share, mean) in panel.points.items():
            marker = MARKERS[1 + placed.index(name)]
            axes.plot(share, mean, marker, color=QUIET, markersize=6, linestyle="none", label=name)
        spread = [
            float(share) for curve in panel.curves for share in (curve.cost_share[0], curve.cost_share[-1])
        ]
        if max(spread) > _LOG_FROM * min(spread):
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
        low = min(
            *(float(curve.quality.min()) for curve in panel.curves),
            *(mean for _, mean in panel.points.values()),
        )
        high = max(float(curve.quality.max()) for curve in panel.curves if curve.name != "oracle")
        axes.set_ylim(low - 0.03, high + 0.06)
        axes.set(xlabel="mean cost, share of the best single endpoint's", ylabel="mean quality")
        title(axes, panel.name)
    _legend(figure, grid, len(panels))
    caption(figure, about)
    return figure


def plot_floors(panels: Sequence[FloorPanel], about: str) -> Figure:
    """Draw realised quality less the floor that was asked for, in points, one panel a set.

    Args:
        panels: up to six; ways of one name have one colour.
        about: where the numbers are from, for the caption.
    """
    figure = new_figure(_WIDTH_IN, _HEIGHT_IN)
    names = list(dict.fromkeys(name for panel in panels for name, _ in panel.reached))
    grid = styled(figure, -(-len(panels) // 2), 2)
    for axes, panel in zip(grid, panels, strict=False):
        axes.axhline(0.0, color=QUIET, linewidth=1)
        for name, reached in panel.reached:
            mean, low, high = 100 * (reached - panel.asked)
            colour = PALETTE[names.index(name)]
            axes.plot(panel.asked, mean, color=colour, linewidth=2, label=name)
            axes.fill_between(panel.asked, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel="floor asked for", ylabel="reached above it, points")
        title(axes, panel.name)
    _legend(figure, grid, len(panels))
    caption(figure, about)
    return figure


def _legend(figure: Figure, grid: Sequence[Axes], panels: int) -> None:
    """Every name of any panel once: in the place that is left over, else above all."""
    named = {
        name: line
        for axes in grid[:panels]
        for line, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    for axes in grid[panels:]:
        axes.set_axis_off()
    if panels < len(grid):
        grid[panels].legend(named.values(), named.keys(), loc="center left", fontsize=10, frameon=False)
    else:
        figure.legend(
            named.values(), named.keys(), loc="outside upper center", ncols=5, fontsize=9, frameon=False
        )
