"""The cost curve: what each way of deciding costs above the oracle, whatever the stakes are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pointsman.metrics.run_or_skip import CostCurve
from pointsman.report.figure import INK, PALETTE, QUIET, caption, new_figure, styled, title

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_cost_curve(curves: Mapping[str, CostCurve], about: str, *, threshold: float | None = None) -> Figure:
    """Regret over the threshold t*, one line a model, with running all and skipping all for comparison.

    Args:
        curves: name -> curve, of the same questions; at least one.
        about: where the numbers are from, for the caption.
        threshold: marked, where the decision was taken.
    """
    figure = new_figure()
    (axes,) = styled(figure)
    first = next(iter(curves.values()))
    axes.plot(first.threshold, first.all_run, color=QUIET, linestyle=(0, (5, 2)), label="run all")
    axes.plot(first.threshold, first.all_skip, color=QUIET, linestyle=(0, (1, 1.5)), label="skip all")
    for at, (name, curve) in enumerate(curves.items()):
        axes.plot(curve.threshold, curve.model, color=PALETTE[at % len(PALETTE)], linewidth=2, label=name)
    if threshold is not None:
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"t* = {threshold:.2g}", (threshold, 1.005), xycoords=("data", "axes fraction"), ha="center",
            fontsize=8, color=INK,
        )  # fmt: skip
    highest = max(float(curve.model.max()) for curve in curves.values())
    axes.set(
        xlim=(0, 1), ylim=(0, 1.35 * highest),
        xlabel="threshold t* = (c_run + c_wrong) / (c_miss + c_wrong)",
        ylabel="cost above the oracle, of c_miss + c_wrong",
    )  # fmt: skip
    title(axes, "What a decision costs, at every trade-off of running and skipping")
    axes.legend(loc="upper right", fontsize=9, frameon=False)
    caption(figure, f"{about} The oracle is the axis; the area under a line is half the Brier score.")
    return figure
