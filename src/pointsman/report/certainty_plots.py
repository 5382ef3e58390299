"""Plots of what predicted probabilities are worth: reliability, and gain by the number of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.metrics.probability import (
    CalibrationFloor,
    calibration_error,
    reliability_bins,
)
from pointsman.report.figure import (
    INK,
    MARKERS,
    PALETTE,
    QUIET,
    caption,
    new_figure,
    styled,
)
from pointsman.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS: Final = 5
_PANEL_IN: Final = 2.35
_TITLE_LETTERS: Final = 30


@dataclass(frozen=True, slots=True)
class Reliability:
    """Predictions of one endpoint and what came true, shape (N,), with the error chance alone gives."""

    name: str
    labels: Floats
    predicted: Floats
    floor: CalibrationFloor


@dataclass(frozen=True, slots=True)
class Curve:
    """A measure at each number of labels, shape (K,), with its interval."""

    value: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class LearningPanel:
    """One endpoint: how each way of training gains with labels.

    Attributes:
        name: the endpoint.
        labels: K words for the numbers of labels, from few to many.
        curves: way of training -> its curve.
        mark: the place among `labels` to mark, and the word beside it; None for no mark.
    """

    name: str
    labels: Sequence[str]
    curves: Mapping[str, Curve]
    mark: tuple[float, str] | None = None


def plot_reliability(panels: Sequence[Reliability], about: str) -> Figure:
    """Share of right answers against predicted probability in ten equal-mass bins, a panel an endpoint."""
    figure, axes = _grid(len(panels))
    for panel, place in zip(panels, axes, strict=False):
        bins = reliability_bins(panel.labels, panel.predicted)
        place.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8)
        place.errorbar(
            bins.predicted, bins.observed, [bins.observed - bins.low, bins.high - bins.observed],
            fmt="o-", color=PALETTE[0], markersize=3.5, linewidth=1, elinewidth=1,
        )  # fmt: skip
        error = calibration_error(panel.labels, panel.predicted)
        place.text(
            0.97, 0.04, f"error {error:.3f}\nby chance {panel.floor.mean:.3f}\nn = {len(panel.labels):,}",
            transform=place.transAxes, ha="right", va="bottom", fontsize=7, color=INK,
        )  # fmt: skip
        place.set(xlim=(0, 1), ylim=(0, 1))
        place.set_title(_title(panel.name), loc="left", fontsize=8, color=INK)
    figure.supylabel("share of right answers", fontsize=9)
    caption(
        figure, f"Horizontal: predicted probability that the answer is right. {about} Bars: 95% intervals. "
        "Error: expected calibration error; by chance: what perfectly calibrated predictions would show."
    )  # fmt: skip
    return figure


def plot_learning_curves(panels: Sequence[LearningPanel], measure: str, about: str) -> Figure:
    """A measure against the number of labels, evenly spaced, a panel an endpoint."""
    figure, axes = _grid(len(panels))
    for panel, place in zip(panels, axes, strict=False):
        at = np.arange(len(panel.labels))
        for number, (name, curve) in enumerate(panel.curves.items()):
            colour, marker = PALETTE[number], MARKERS[number]
            place.fill_between(at, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
            place.plot(
                at, curve.value, marker, linestyle="-", color=colour, markersize=3, linewidth=1.2, label=name
            )
        if panel.mark is not None:
            where, word = panel.mark
            place.axvline(where, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
            place.text(where, 0.02, f" {word}", transform=place.get_xaxis_transform(), fontsize=7, color=INK)
        place.set_xticks(at, panel.labels, fontsize=6, rotation=60)
        place.set_title(_title(panel.name), loc="left", fontsize=8, color=INK)
    low = min(axis.get_ylim()[0] for axis in axes[: len(panels)])
    high = max(axis.get_ylim()[1] for axis in axes[: len(panels)])
    for place in axes[: len(panels)]:
        place.set_ylim(low, high)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=len(names), fontsize=9, frameon=False)
    figure.supylabel(measure, fontsize=9)
    caption(figure, f"Horizontal: labels of the endpoint itself. {about} Bands: 95% intervals.")
    return figure


def _title(name: str) -> str:
    """A name that fits above a panel: without its organisation, where it would not."""
    return name if len(name) <= _TITLE_LETTERS else name.rpartition("/")[2]


def _grid(panels: int) -> tuple[Figure, list[Axes]]:
    """A figure with at least so many axes, at most `COLUMNS` in a row; those left over are hidden."""
    columns = min(COLUMNS, panels)
    rows = -(-panels // columns)
    figure = new_figure(_PANEL_IN * columns + 0.6, _PANEL_IN * rows + 0.9)
    axes = styled(figure, rows, columns)
    for place in axes:
        place.tick_params(labelsize=7)
    for place in axes[panels:]:
        place.set_visible(False)
    return figure, axes
