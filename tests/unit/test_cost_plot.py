"""The cost curve as a picture: what is drawn is what was measured."""

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")

from pointsman.metrics.run_or_skip import cost_curve
from pointsman.report.cost_plot import plot_cost_curve


def test_every_curve_is_drawn_with_the_constants_and_the_threshold():
    right = np.array([1.0, 0.0, 1.0, 0.0])
    curves = {
        "sharp": cost_curve(np.array([0.9, 0.1, 0.8, 0.2]), right),
        "flat": cost_curve(np.full(4, 0.5), right),
    }
    (axes,) = plot_cost_curve(curves, "Four questions.", threshold=0.6).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert {"run all", "skip all", "sharp", "flat"} <= set(lines)
    for name, curve in curves.items():
        np.testing.assert_array_equal(lines[name].get_ydata(), curve.model)
    assert [text.get_text() for text in axes.texts] == ["t* = 0.6"]
