"""Plots of the choice by weights for one request: Pareto front and sensitivity to the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.assign.counterfactual import dominators
from pointsman.assign.weighted import Weighing, normalised_costs, raw_costs
from pointsman.errors import BadRequest
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
from pointsman.types import OBJECTIVES, Bools, CostTable, Floats, Weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES: Final = 401
"""Steps along a weight from 0 to 1."""

_ALL: Final = tuple(range(len(OBJECTIVES)))
_LOG_FROM: Final = 20.0


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
        colour, marker, _ = look(e)
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


def look(e: int) -> tuple[str, str, str]:
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
                axes.plot(*bar, color=look(e)[0], linewidth=1.3, alpha=0.5, zorder=1)
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
        colour, _, hatch = look(e)
        dashes = "-" if not hatch else (0, (3, 1))
        panel.plot(share, scores[:, e], color=colour, linewidth=1.1, alpha=0.65, linestyle=dashes)
        won = np.where(best == e, scores[:, e], np.nan)
        panel.plot(
            share, won, color=colour, linewidth=3.2, label=name, linestyle=dashes, solid_capstyle="butt"
        )
        panel.fill_between(
            share, 0, 0.035, where=best == e, transform=panel.get_xaxis_transform(), color=colour, linewidth=0
        )
