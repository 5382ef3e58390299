"""Every figure of the README's table of results stands in the results file that its row names."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FIGURE = re.compile(r"\*\*(-?[\d.,]+)(?:\s?%)?\*\*")
RESULT = re.compile(r"\((bench/results/[\w./-]+\.csv)\)")


def rows_with_results(text: str) -> list[tuple[str, list[str], str]]:
    """(row, bold figures, results file) of each table row that links a results file."""
    rows = []
    for line in text.splitlines():
        link = RESULT.search(line)
        if line.startswith("|") and link:
            rows.append((line, FIGURE.findall(line), link[1]))
    return rows


def numbers_of(path: Path) -> list[float]:
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.DictReader(file) for cell in row.values()]
    numbers = []
    for cell in cells:
        try:
            numbers.append(float(cell))
        except (TypeError, ValueError):
            continue
    return numbers


def is_in(figure: str, numbers: list[float]) -> bool:
    """Whether some number, or it times 100 (a share shown in percent), rounds to the figure as written."""
    plain = figure.replace(",", "")
    decimals = len(plain.partition(".")[2])
    shown = float(plain)
    half = 0.5 * 10**-decimals + 1e-9
    return any(abs(number * factor - shown) <= half for number in numbers for factor in (1, 100))


ROWS = rows_with_results((CHECKOUT / "README.md").read_text(encoding="utf-8"))


def test_the_readme_has_results() -> None:
    assert len(ROWS) >= 6


@pytest.mark.parametrize(("row", "figures", "file"), ROWS, ids=[file.rpartition("/")[2] for *_, file in ROWS])
def test_figures_are_in_their_results(row: str, figures: list[str], file: str) -> None:
    assert figures, f"no **figure** in: {row}"
    numbers = numbers_of(CHECKOUT / file)
    for figure in figures:
        assert is_in(figure, numbers), f"{figure} of the README is not in {file}"


def test_results_say_where_they_are_from() -> None:
    for path in sorted((CHECKOUT / "bench" / "results").glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            row = next(csv.DictReader(file))
        assert {"command", "commit", "seed", "machine"} <= set(row), path
        assert row["quick"] == "False", f"{path} is of a quick run"


def test_a_wrong_figure_would_be_found() -> None:
    assert is_in("6.5", [0.0648])
    assert is_in("1,234", [1234.2])
    assert not is_in("6.5", [0.066, 6.4])
