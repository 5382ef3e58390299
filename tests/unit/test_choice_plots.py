from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from pointsman.assign.weighted import WeightedAssign
from pointsman.errors import BadRequest
from pointsman.report.choice_plots import Choice, plot_pareto, plot_sensitivity
from pointsman.report.figure import label_points, new_figure, save, styled
from pointsman.report.region_plot import plot_regions
from pointsman.types import CostTable, Estimate, Prompt, Request, Weights

NAMES = ("small", "middle", "large", "old")
PLOTS = (plot_pareto, plot_sensitivity, plot_regions)


def estimate(*values: float, spread: float = 0.0) -> Estimate:
    value = np.array([values], dtype=float)
    if not spread:
        return Estimate.without_interval(value)
    return Estimate(value, value * (1 - spread), value * (1 + spread))


@pytest.fixture
def choice() -> Choice:
    table = CostTable(
        NAMES,
        np.ones((1, 4)),
        estimate(0.3, 0.5, 0.9, 0.4, spread=0.05),
        estimate(10, 10, 10, 10),
        estimate(2, 1, 5, 3),
        estimate(1, 4, 90, 50, spread=0.2),
        estimate(0, 0, 0, 0),
        estimate(np.nan, np.nan, np.nan, np.nan),
    )
    weights = Weights(accuracy=0.6, energy=0.3, time=0.1)
    return Choice(
        table, np.ones(4, dtype=bool), weights, 'Prompt "x".', "100 rows of run.parquet", energy_modelled=True
    )


def chosen(choice: Choice, weights: Weights) -> str:
    made = WeightedAssign(weights).assign(
        [Request("r", Prompt("x"))], choice.table, choice.eligible[np.newaxis], ()
    )
    return NAMES[int(made.endpoint_index[0])]


@pytest.mark.parametrize("plot", PLOTS)
def test_each_is_written_as_png_and_svg_equal_each_time(plot, choice: Choice, tmp_path: Path) -> None:
    first = save(plot(choice), tmp_path / "deep" / "a")
    second = save(plot(choice), tmp_path / "b")
    assert [path.name for path in first] == ["a.png", "a.svg"]
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("plot", PLOTS)
def test_the_caption_says_where_the_numbers_are_from(plot, choice: Choice) -> None:
    said = " ".join(plot(choice).get_supxlabel().split())
    assert 'Prompt "x".' in said
    assert "100 rows of run.parquet" in said
    assert "Energy is modelled, not measured" in said


def test_pareto_labels_say_who_dominates_and_do_not_overlap(choice: Choice) -> None:
    figure = plot_pareto(choice)
    (axes,) = figure.axes
    notes = axes.texts
    assert [note.get_text() for note in notes] == ["small", "middle", "large", "old\ndominated by middle"]
    assert axes.get_xlabel() == "energy of the request, J (logarithmic)"
    figure.draw_without_rendering()
    boxes = [note.get_window_extent() for note in notes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_sensitivity_draws_the_lowest_score_thick(choice: Choice) -> None:
    panels = plot_sensitivity(choice).axes
    assert [panel.get_xlabel() for panel in panels] == [
        "weight of accuracy",
        "weight of energy",
        "weight of time",
    ]
    for panel, objective in zip(panels, ("accuracy", "energy", "time"), strict=True):
        thick = {line.get_label(): line for line in panel.lines if line.get_label() in NAMES}
        for share in (0.1, 0.5, 0.9):
            others = {"accuracy": 0.6, "energy": 0.3, "time": 0.1}
            del others[objective]
            scale = (1 - share) / sum(others.values())
            weights = Weights(**{name: value * scale for name, value in others.items()}, **{objective: share})
            at = round(share * 400)
            shown = [name for name, line in thick.items() if np.isfinite(line.get_ydata()[at])]
            assert shown == [chosen(choice, weights)]


def test_regions_are_those_of_the_policy(choice: Choice) -> None:
    (axes,) = plot_regions(choice).axes
    corners = np.array([[0.5, np.sqrt(0.75)], [0.0, 0.0], [1.0, 0.0]])
    regions = {
        patch.get_label().rpartition("  ")[0]: patch.get_path()
        for patch in axes.patches
        if (patch.get_label() or "").endswith("%")
    }
    assert set(regions) == {"small", "middle", "large"}, "what is dominated is chosen nowhere"
    rng = np.random.default_rng(2)
    for weights in rng.dirichlet([1, 1, 1], size=200):
        inside = [name for name, path in regions.items() if path.contains_point(weights @ corners)]
        assert inside == [chosen(choice, Weights(*weights.tolist()))]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    shares = [float(label.rpartition("  ")[2].rstrip("%")) for label in labels if label.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert "old  nowhere" in labels


def test_without_an_eligible_endpoint_there_is_nothing_to_plot(choice: Choice) -> None:
    with pytest.raises(BadRequest, match="nothing to plot"):
        Choice(choice.table, np.zeros(4, dtype=bool), choice.weights, "", "")


def test_what_cannot_be_written_is_said(choice: Choice, tmp_path: Path) -> None:
    figure = new_figure()
    with pytest.raises(BadRequest, match="can't write 'pdf'"):
        save(figure, tmp_path / "a", ["pdf"])
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRequest, match="can't be written"):
        save(figure, tmp_path / "file" / "a")


def test_labels_of_close_points_are_moved_apart() -> None:
    figure = new_figure()
    (axes,) = styled(figure)
    points = [(0.5, 0.5), (0.505, 0.5), (0.5, 0.51), (0.51, 0.51)]
    axes.set(xlim=(0, 1), ylim=(0, 1))
    notes = label_points(axes, points, ["first point", "second point", "third point", "fourth point"])
    boxes = [note.get_window_extent() for note in notes]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
