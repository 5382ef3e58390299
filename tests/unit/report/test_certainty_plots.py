from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pointsman.metrics.probability import calibration_error_floor
from pointsman.report.certainty_plots import (
    Curve,
    LearningPanel,
    Reliability,
    plot_learning_curves,
    plot_reliability,
)
from pointsman.report.figure import save


def reliability(name: str, seed: int) -> Reliability:
    rng = np.random.default_rng(seed)
    predicted = rng.beta(3, 2, 2000)
    labels = (rng.random(2000) < predicted).astype(float)
    return Reliability(name, labels, predicted, calibration_error_floor(predicted, rng, draws=50))


def learning(name: str, mark: tuple[float, str] | None) -> LearningPanel:
    value = np.array([0.6, 0.7, 0.74])
    return LearningPanel(
        name,
        ("0", "100", "all"),
        {
            "shared": Curve(value, value - 0.02, value + 0.02),
            "alone": Curve(value - 0.1, value - 0.13, value - 0.06),
        },
        mark,
    )


@pytest.mark.parametrize("panels", [1, 7])
def test_reliability_has_a_panel_for_each_and_says_its_error(panels: int, tmp_path: Path) -> None:
    figure = plot_reliability([reliability(f"model {n}", n) for n in range(panels)], "Made up.")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in shown] == [f"model {n}" for n in range(panels)]
    assert all("n = 2,000" in axes.texts[0].get_text() for axes in shown)
    first = save(figure, tmp_path / "a", ["png"])[0].read_bytes()
    again = plot_reliability([reliability(f"model {n}", n) for n in range(panels)], "Made up.")
    assert first == save(again, tmp_path / "b", ["png"])[0].read_bytes()


def test_learning_curves_share_their_scale_and_mark_where_the_gain_is_had(tmp_path: Path) -> None:
    figure = plot_learning_curves([learning("one", (1, "90%")), learning("two", None)], "AUROC", "Made up.")
    one, two = figure.axes
    assert one.get_ylim() == two.get_ylim()
    assert [text.get_text().strip() for text in one.texts] == ["90%"]
    assert not two.texts
    assert [label.get_text() for label in one.get_xticklabels()] == ["0", "100", "all"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["shared", "alone"]
    assert save(figure, tmp_path / "a", ["png"])[0].read_bytes().startswith(b"\x89PNG")
