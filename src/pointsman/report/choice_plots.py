"""Plots of the choice by weights for one request: Pareto front, sensitivity, dominance regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.assign.counterfactual import dominators
from pointsman.assign.explanation import weights_text
from pointsman.assign.weighted import Weighing, normalised_costs, raw_costs
from pointsman.errors import BadRequest
from pointsman.report.figure import (
    GRID,
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
from pointsman.types import OBJECTIVES, Bools, CostTable, Floats, Weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES: Final = 401
"""Steps along a weight from 0 to 1."""

_ALL: Final = tuple(range(len(OBJECTIVES)))
_LOG_FROM: Final = 20.0
_TRIANGLE: Final = np.array([[0.5, np.sqrt(0.75)], [0.0, 0.0], [1.0, 0.0]])
_X_LIMITS: Final = (-0.2, 1.2)
_Y_LIMITS: Final = (-0.08, 0.93)
_LEGEND: Final = (0.64, 0.88)


@dataclass(frozen=True, slots=True)
class Choice:
    """What the plots show: the predictions of one request.

    Attributes:
        table: with R = 1.
        eligible: shape (E,); endpoints that are not are left out.
        weights: those that hold, with sum 1.
        about: what was asked, for the caption.
        source: where the numbers are from, for the caption.
        energy_modelled: the energy of any endpoint is modelled.
    """

    table: CostTable
    eligible: Bools
    weights: Weights
    about: str
    source: str
    energy_modelled: bool = False

    def __post_init__(self) -> None:
        """Raises BadRequest if no endpoint is eligible."""
        if not self.eligible.any():
            raise BadRequest(
                "no endpoint is eligible, so there is nothing to plot", remedy="Check the prompt"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The eligible endpoints."""
        return tuple(name for name, kept in zip(self.table.endpoints, self.eligible, strict=True) if kept)

    def raw(self) -> Floats:
        """1 - quality, J, s, $, g CO2e of the eligible endpoints, shape (5, E)."""
        return raw_costs(self.table, _ALL)[:, 0, self.eligible]

    def costs(self) -> Floats:
        """The normalised costs, shape (5, E)."""
        every = Weighing(_ALL, np.ones((len(OBJECTIVES), 1, 1)))
        costs, _ = normalised_costs(
            self.raw()[:, np.newaxis], np.ones((1, len(self.names)), dtype=bool), every
        )
        return costs[:, 0]

    def caption(self) -> str:
        """What was asked, and where the numbers are from."""
        energy = " Energy is modelled, not measured." if self.energy_modelled else ""
        return f"{self.about} Numbers: {self.source}.{energy}"


def plot_pareto(choice: Choice) -> Figure:
    """Accuracy against energy, with intervals, the Pareto front and the dominated endpoints marked."""
    figure = new_figure()
    (axes,) = styled(figure)
    raw, names = choice.raw(), choice.names
    energy, accuracy = raw[1], 1 - raw[0]
    dominated = dominators(np.array([energy, -accuracy]).T)
    front: Bools = np.logical_not(np.any(dominated, axis=1))
    if np.nanmax(energy) > _LOG_FROM * np.nanmin(energy) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
    bars = _bars(axes, choice)
    stairs = _stairs(energy[front], accuracy[front])
    axes.plot(*stairs, color=QUIET, linewidth=1.4, zorder=2, label="Pareto front")
    texts = []
    for e, name in enumerate(names):
        colour, marker, _ = _look(e)
        axes.plot(
            energy[e], accuracy[e], marker, markersize=9, color=colour, zorder=4, linestyle="none",
            markerfacecolor=colour if front[e] else "white", markeredgewidth=1.8,
        )  # fmt: skip
        by = [names[i] for i in np.flatnonzero(dominated[e]).tolist()]
        texts.append(f"{name}\ndominated by {by[0]}" if by else name)
    axes.margins(x=0.16, y=0.16)
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 0.0))
    axes.set(xlabel="energy of the request, J", ylabel="probability that the answer is right")
    if axes.get_xscale() == "log":
        axes.set_xlabel("energy of the request, J (logarithmic)")
    title(axes, "Accuracy against energy")
    if not front.all():
        axes.plot([], [], "o", color=QUIET, markerfacecolor="white", markeredgewidth=1.8, label="dominated")
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    caption(figure, f"{choice.caption()} Bars: 90% intervals, where there are any.")
    places = list(zip(energy.tolist(), accuracy.tolist(), strict=True))
    label_points(axes, places, texts, [stairs, *bars])
    return figure


def plot_sensitivity(choice: Choice) -> Figure:
    """Scores as each weight goes from 0 to 1, the others in proportion; the lowest is chosen."""
    weights = np.array(choice.weights.as_tuple())
    bearing = np.flatnonzero(weights > 0).tolist()
    shown = bearing if len(bearing) > 1 else [0, 1, 2]
    figure = new_figure(3.1 * len(shown) + 1.2, 4.6)
    panels = styled(figure, 1, len(shown))
    share = np.linspace(0, 1, SHADES)
    for panel, k in zip(panels, shown, strict=True):
        scores = np.array([_moved(weights, k, at) @ choice.costs() for at in share])
        _scores_panel(panel, share, scores, choice.names)
        panel.axvline(weights[k], color=INK, linewidth=1, linestyle=(0, (4, 3)))
        panel.annotate(
            f"now {weights[k]:.2g}", (weights[k], 1.005), xycoords=("data", "axes fraction"), ha="center",
            fontsize=8, color=INK,
        )  # fmt: skip
        panel.set(xlabel=f"weight of {OBJECTIVES[k]}", xlim=(0, 1))
    panels[0].set_ylabel("score (lower is better)")
    top = max(panel.get_ylim()[1] for panel in panels)
    for panel in panels:
        panel.set_ylim(-0.07 * top, top)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper left", ncols=min(5, len(labels)), fontsize=9, frameon=False,
        title="Score of each endpoint as one weight goes from 0 to 1", alignment="left",
        title_fontproperties={"weight": "bold", "size": 12},
    )  # fmt: skip
    caption(
        figure, f"{choice.caption()} The band at the bottom shows which endpoint is chosen; the other weights "
        "keep their proportions."
    )  # fmt: skip
    return figure


def plot_regions(choice: Choice) -> Figure:
    """Which endpoint is chosen at each point of the triangle of accuracy, energy and time weights."""
    figure = new_figure(9.6, 6.2)
    (axes,) = styled(figure)
    # A fixed place: whether a name fits into its region must not change afterwards.
    figure.set_layout_engine("none")
    about = "Each point is a weighting of accuracy, energy and time that sums to 1."
    bottom = caption(figure, f"{choice.caption()} {about}")
    axes.set_position((0.01, bottom, 0.66, 0.92 - bottom))
    axes.set(xlim=_X_LIMITS, ylim=_Y_LIMITS, aspect="equal")
    axes.axis("off")
    costs, names = choice.costs()[:3], choice.names
    shares: dict[int, float] = {}
    for e in range(len(names)):
        region = _region(costs, e)
        if region is not None:
            corners = region @ _TRIANGLE
            shares[e] = _area(corners) / _area(_TRIANGLE)
            colour, _, hatch = _look(e)
            axes.fill(
                *corners.T, facecolor=colour, alpha=0.6, edgecolor="white", linewidth=2, hatch=hatch,
                label=f"{names[e]}  {shares[e]:.1%}",
            )  # fmt: skip
            _label_inside(axes, corners, names[e])
    for e in range(len(names)):
        if e not in shares:
            axes.plot([], [], "s", color="white", label=f"{names[e]}  nowhere")
    axes.fill(*_TRIANGLE.T, facecolor="none", edgecolor=QUIET, linewidth=1.2)
    _triangle_axes(axes)
    _mark_weights(axes, choice.weights)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(shares)), key=lambda i: -list(shares.values())[i])
    order += range(len(shares), len(handles))
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="upper left", bbox_to_anchor=_LEGEND, bbox_transform=figure.transFigure,
        fontsize=9, frameon=False, title="chosen on a share of the triangle", alignment="left",
        title_fontsize=9,
    )  # fmt: skip
    figure.text(0.02, 0.97, "Which endpoint the weights choose", fontsize=12, fontweight="bold", va="top")
    return figure


def _look(e: int) -> tuple[str, str, str]:
    """Colour, marker and hatch of the endpoint in column `e`, different for the first 24."""
    again = e // len(PALETTE)
    return PALETTE[e % len(PALETTE)], MARKERS[(e + again) % len(MARKERS)], ("", "//", "..")[again % 3]


def _stairs(energy: Floats, accuracy: Floats) -> tuple[list[float], list[float]]:
    """The Pareto front as a polyline: right along the accuracy that can be had, then up."""
    order = np.argsort(energy)
    x, y = np.repeat(energy[order], 2)[1:], np.repeat(accuracy[order], 2)[:-1]
    return x.tolist(), y.tolist()


def _bars(axes: Axes, choice: Choice) -> list[tuple[list[float], list[float]]]:
    """Intervals of energy and accuracy as thin bars; returns them as polylines."""
    energy, quality = choice.table.energy_j, choice.table.quality
    drawn = []
    for e, column in enumerate(np.flatnonzero(choice.eligible).tolist()):
        x, y = float(energy.value[0, column]), float(quality.value[0, column])
        ends = (
            ([float(energy.low[0, column]), float(energy.high[0, column])], [y, y]),
            ([x, x], [float(quality.low[0, column]), float(quality.high[0, column])]),
        )
        for bar in ends:
            if np.isfinite(bar).all():
                axes.plot(*bar, color=_look(e)[0], linewidth=1.3, alpha=0.5, zorder=1)
                drawn.append(bar)
    return drawn


def _moved(weights: Floats, k: int, share: float) -> Floats:
    """The weights with `share` on objective k and the others in proportion (evenly, if they are 0)."""
    rest = np.delete(np.arange(len(weights)), k)
    others = weights[rest]
    if others.sum() == 0:
        others = np.isin(rest, (0, 1, 2)).astype(float)
    moved = np.empty_like(weights)
    moved[k], moved[rest] = share, (1 - share) * others / others.sum()
    return moved


def _scores_panel(panel: Axes, share: Floats, scores: Floats, names: tuple[str, ...]) -> None:
    """A line an endpoint, and a band that shows the lowest."""
    best = scores.argmin(axis=1)
    for e, name in enumerate(names):
        colour, _, hatch = _look(e)
        dashes = "-" if not hatch else (0, (3, 1))
        panel.plot(share, scores[:, e], color=colour, linewidth=1.1, alpha=0.65, linestyle=dashes)
        won = np.where(best == e, scores[:, e], np.nan)
        panel.plot(
            share, won, color=colour, linewidth=3.2, label=name, linestyle=dashes, solid_capstyle="butt"
        )
        panel.fill_between(
            share, 0, 0.035, where=best == e, transform=panel.get_xaxis_transform(), color=colour, linewidth=0
        )


def _region(costs: Floats, e: int) -> Floats | None:
    """The polygon of weights (corners, barycentric, shape (N, 3)) that choose `e`; None if empty.

    The simplex is cut by each half-plane `w . (cost_e - cost_other) <= 0` in turn.
    """
    corners = np.eye(3)
    for other in range(costs.shape[1]):
        if other == e:
            continue
        corners = _cut(corners, costs[:, e] - costs[:, other])
        if len(corners) < len(_TRIANGLE):
            return None
    return corners if _area(corners @ _TRIANGLE) > 0 else None


def _cut(corners: Floats, normal: Floats) -> Floats:
    """The part of a convex polygon where `corner . normal <= 0`."""
    kept: list[Floats] = []
    for here, there in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        at_here, at_there = float(here @ normal), float(there @ normal)
        if at_here <= 0:
            kept.append(here)
        if at_here * at_there < 0:
            share = at_here / (at_here - at_there)
            kept.append(here + share * (there - here))
    return np.array(kept).reshape(-1, 3)


def _area(corners: Floats) -> float:
    x, y = corners.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)


def _centroid(corners: Floats) -> Floats:
    x, y = corners.T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    if abs(cross.sum()) < np.finfo(float).tiny:
        return np.asarray(corners.mean(axis=0))
    weight = cross / (3 * cross.sum())
    return np.array([((x + np.roll(x, -1)) @ weight), ((y + np.roll(y, -1)) @ weight)])


def _label_inside(axes: Axes, corners: Floats, text: str) -> None:
    """Write the text at the centre of a polygon, if it fits."""
    from matplotlib.path import Path

    figure = axes.get_figure(root=True)
    assert figure is not None
    x, y = _centroid(corners).tolist()
    label = axes.text(x, y, text, ha="center", va="center", color=INK)
    figure.draw_without_rendering()
    outline = Path(axes.transData.transform(corners))
    for size in (10, 9, 8, 7):
        label.set_fontsize(size)
        box = label.get_window_extent(figure.canvas.get_renderer())  # type: ignore[attr-defined]
        if outline.contains_points(box.corners()).all():
            return
    label.remove()


def _triangle_axes(axes: Axes) -> None:
    """Corner names, and a thin grid with the share of each weight on one side of the triangle."""
    for share in (0.2, 0.4, 0.6, 0.8):
        for k, (align, dx, dy) in enumerate((("right", -4, 3), ("left", 4, -7), ("left", 5, 2))):
            ends = np.zeros((2, 3))
            ends[:, k] = share
            ends[0, (k + 1) % 3] = ends[1, (k + 2) % 3] = 1 - share
            axes.plot(*(ends @ _TRIANGLE).T, color=GRID, linewidth=0.7, alpha=0.8)
            axes.annotate(
                f"{share:g}", ends[0] @ _TRIANGLE, xytext=(dx, dy),
                textcoords="offset points", ha=align, va="center", fontsize=7.5, color=QUIET,
            )  # fmt: skip
    corners = (
        ("accuracy", "center", "bottom", 6),
        ("energy", "right", "top", -6),
        ("time", "left", "top", -6),
    )
    for (name, ha, va, dy), place in zip(corners, _TRIANGLE, strict=True):
        axes.annotate(
            f"only {name}", place, xytext=(0, dy), textcoords="offset points", ha=ha, va=va, fontsize=10,
            fontweight="bold", color=INK,
        )  # fmt: skip


def _mark_weights(axes: Axes, weights: Weights) -> None:
    """Where the weights that hold lie, if they are of accuracy, energy and time alone."""
    point = np.array(weights.as_tuple())
    if point[3:].any():
        return
    x, y = point[:3] @ _TRIANGLE
    axes.plot(
        x, y, "o", markersize=9, color="white", markeredgecolor=INK, markeredgewidth=1.8, zorder=5,
        linestyle="none", label="now: " + weights_text(weights).replace(", ", "\n        "),
    )  # fmt: skip
