"""What a threshold buys: the quality of all queries over what runs, or over what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pointsman.metrics.budget import Curve, OperatingPoint
from pointsman.report.figure import INK, PALETTE, QUIET, caption, new_figure, styled, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_budget(found: Curve, point: OperatingPoint, about: str, *, unit: str = "") -> Figure:
    """Right answers of all queries over the spending of each threshold; the chosen one with its interval.

    Args:
        found: every threshold.
        point: the chosen one.
        about: where the numbers are from, for the caption.
        unit: of the cost; empty draws the share that runs.
    """
    spent = found.cost if unit else found.run_share
    spending = point.cost if unit and point.cost is not None else point.run_share
    figure = new_figure()
    (axes,) = styled(figure)
    order = np.lexsort((found.quality, spent))
    axes.plot(
        spent[order], found.quality[order], color=PALETTE[0], linewidth=2, label=f"policy {point.policy}"
    )
    if point.policy == "threshold" and not unit:
        axes.plot([0, 1], [0, found.quality[0]], color=QUIET, linestyle=(0, (5, 2)), label="drawn by chance")
    below, above = point.quality.value - point.quality.low, point.quality.high - point.quality.value
    axes.errorbar(
        [spending.value], [point.quality.value], yerr=[[below], [above]], fmt="o", color=PALETTE[1], capsize=4,
        label=point.model_name,
    )  # fmt: skip
    axes.annotate(
        f"{point.quality.value:.1%} right", (spending.value, point.quality.value), xytext=(-10, 8),
        textcoords="offset points", ha="right", fontsize=9, color=INK,
    )  # fmt: skip
    axes.set(
        xlabel=f"mean {unit} of a query" if unit else "share of queries that run",
        ylabel="share of all queries answered rightly",
    )
    axes.set_ylim(bottom=0)
    title(axes, "What a threshold buys")
    axes.legend(loc="lower right", fontsize=9, frameon=False)
    caption(figure, f"{about} The bar is the 95% interval.")
    return figure
