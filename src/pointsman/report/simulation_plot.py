"""Pictures of simulated orders: shares of requests by latency, and latency against load."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pointsman.report.figure import MARKERS, PALETTE, caption, new_figure, save, styled, title
from pointsman.types import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """An order's requests: seconds to the first token, and seconds a token over all, shape (N,) each."""

    name: str
    ttft_s: Floats
    token_s: Floats


@dataclass(frozen=True, slots=True)
class LoadLine:
    """An order over loads: mean seconds of an answer, and the longest wait that 1% exceed."""

    name: str
    loads: Sequence[float]
    e2e_s: Sequence[float]
    waiting_s: Sequence[float]


def draw_cdfs(curves: Sequence[Curve], path: Path) -> list[Path]:
    """The share of requests that took at most so long. Raises: MissingError, BadRequest."""
    figure = new_figure(9, 4.4)
    left, right = styled(figure, 1, 2)
    for curve, color in zip(curves, PALETTE, strict=False):
        for axes, values in ((left, curve.ttft_s), (right, curve.token_s)):
            at = np.sort(values)
            axes.step(at, np.arange(1, len(at) + 1) / len(at), color=color, label=curve.name)
    for axes, words in ((left, "To the first token"), (right, "Whole time a token")):
        axes.set_xscale("log")
        axes.set_xlabel("seconds")
        axes.set_ylabel("share of requests")
        title(axes, words)
    right.legend(frameon=False, fontsize=8)
    caption(figure, "Simulated by pointsman simulate, the first seed.")
    return save(figure, path)


def draw_loads(lines: Sequence[LoadLine], path: Path) -> list[Path]:
    """Means and long waits over the load. Raises: MissingError, BadRequest."""
    figure = new_figure(9, 4.4)
    left, right = styled(figure, 1, 2)
    for line, color, marker in zip(lines, PALETTE, MARKERS, strict=False):
        left.plot(line.loads, line.e2e_s, color=color, marker=marker, label=line.name)
        right.plot(line.loads, line.waiting_s, color=color, marker=marker, label=line.name)
    for axes, words in ((left, "Whole answer, mean"), (right, "Longest wait for a token, p99")):
        axes.set_yscale("log")
        axes.set_xlabel("load: share of what the engines can serve")
        axes.set_ylabel("seconds")
        title(axes, words)
    left.legend(frameon=False, fontsize=8)
    caption(figure, "Simulated by pointsman simulate, means over seeds.")
    return save(figure, path)
