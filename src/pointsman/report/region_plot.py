"""Which endpoint the weights choose: regions over the triangle of accuracy, energy and time weights.

Each region is a convex polygon, cut exactly: the simplex of the three weights, less one half-plane for
every other endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.assign.explanation import weights_text
from pointsman.report.choice_plots import Choice, look
from pointsman.report.figure import GRID, INK, QUIET, caption, new_figure, styled
from pointsman.types import Floats, Weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRIANGLE: Final = np.array([[0.5, np.sqrt(0.75)], [0.0, 0.0], [1.0, 0.0]])
"""Corners of weight 1 on accuracy, energy and time."""

_X_LIMITS: Final = (-0.2, 1.2)
_Y_LIMITS: Final = (-0.08, 0.93)
_LEGEND: Final = (0.64, 0.88)


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
            colour, _, hatch = look(e)
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
    _legend(axes, list(shares.values()))
    figure.text(0.02, 0.97, "Which endpoint the weights choose", fontsize=12, fontweight="bold", va="top")
    return figure


def _legend(axes: Axes, shares: list[float]) -> None:
    """Beside the triangle: regions by size, then what is chosen nowhere, then the weights that hold."""
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(shares)), key=lambda i: -shares[i]) + list(range(len(shares), len(handles)))
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="upper left", fontsize=9,
        bbox_to_anchor=_LEGEND, bbox_transform=figure.transFigure, frameon=False, alignment="left",
        title="chosen on a share of the triangle", title_fontsize=9,
    )  # fmt: skip


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
