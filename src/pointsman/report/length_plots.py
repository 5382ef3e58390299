"""Plots of predicted answer lengths: against the real ones, and how well they order answers, by set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.report.figure import INK, PALETTE, QUIET, caption, new_figure, styled
from pointsman.types import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS: Final = 6
_COLUMNS: Final = 3
_PANEL_IN: Final = 3.4
_BINS: Final = 12
_LEAST_IN_BIN: Final = 5


@dataclass(frozen=True, slots=True)
class LengthPoints:
    """Answers of one set: real tokens, shape (N,), and the forecast's quantiles, shape (N, Q), rising."""

    name: str
    tokens: Floats
    curves: Floats


def plot_lengths(panels: Sequence[LengthPoints], about: str) -> Figure:
    """Real against predicted length, both + 1 and logarithmic, a panel a set, the first `MOST_PANELS`.

    A line joins the real median of equally many answers; the band is the forecast's 90% interval there.
    """
    shown = panels[:MOST_PANELS]
    columns = min(len(shown), _COLUMNS)
    rows = -(-len(shown) // columns)
    figure = new_figure(_PANEL_IN * columns + 0.6, _PANEL_IN * rows + 0.6)
    axes = styled(figure, rows, columns)
    for panel, place in zip(shown, axes, strict=False):
        middle = panel.curves.shape[1] // 2
        predicted = panel.curves[:, middle - 1 : middle + 1].mean(axis=1) + 1
        place.scatter(
            predicted, panel.tokens + 1, s=3, alpha=0.25, color=PALETTE[0], linewidths=0, rasterized=True
        )
        bins = [
            part
            for part in np.array_split(np.argsort(predicted, kind="stable"), _BINS)
            if len(part) >= _LEAST_IN_BIN
        ]
        if bins:
            at = [float(np.median(predicted[part])) for part in bins]
            low, high = ([float(np.median(panel.curves[part, end])) + 1 for part in bins] for end in (0, -1))
            place.fill_between(at, low, high, color=PALETTE[1], alpha=0.12, linewidth=0)
            place.plot(
                at,
                [float(np.median(panel.tokens[part])) + 1 for part in bins],
                "o-",
                color=PALETTE[1],
                markersize=3,
            )
        ends = [1.0, float(max(predicted.max(), panel.tokens.max() + 1))]
        place.plot(ends, ends, color=QUIET, linewidth=0.8)
        place.set(xscale="log", yscale="log", xlabel="predicted tokens + 1", ylabel="real tokens + 1")
        place.set_title(panel.name, fontsize=10, color=INK)
    for place in axes[len(shown) :]:
        place.set_visible(False)
    left = f" The first {MOST_PANELS} of {len(panels)} sets." if len(panels) > MOST_PANELS else ""
    caption(figure, f"{about} Line: real median; band: forecast from 2.5% to 97.5%.{left}")
    return figure


def plot_tau(sets: Sequence[tuple[str, float, float]], about: str) -> Figure:
    """Kendall's tau by set, of the forecast and of the prompt's size: (name, tau, tau of the size) each."""
    figure = new_figure(7.0, 1.6 + 0.36 * len(sets))
    (axes,) = styled(figure)
    places = np.arange(len(sets))[::-1]
    for shift, column, label, colour in (
        (0.2, 1, "forecast", PALETTE[0]),
        (-0.2, 2, "prompt's size", PALETTE[4]),
    ):
        values = [float(np.nan_to_num(each[column])) for each in sets]
        axes.barh(places + shift, values, height=0.38, color=colour, label=label)
    axes.set_yticks(places, [each[0] for each in sets])
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.set_xlabel("Kendall's tau with the real length, answers of one endpoint")
    axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    caption(figure, about)
    return figure
