"""A recorded meter plays again: joules from a CSV file, at the pace of a given clock.

Columns: `time_s`, rising; and either `power_w`, 0 or more, or `energy_j`, a counter that never falls.
Other columns are left alone. Between two rows power is taken as a straight line, a counter as well.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import pairwise
from math import isfinite
from pathlib import Path

import numpy as np

from pointsman.errors import DataError
from pointsman.types import Floats


class ReplayMeter:
    """Counts the joules of a recording that starts when the meter is made.

    When the recording is over the counter holds. A recording carries no mark of where it came from, so
    the caller says whether its joules were modelled and how.

    Args:
        path: the CSV file.
        now_s: monotonic seconds; virtual ones in a simulation.
        modelled_as: how its joules were modelled, with the watts, if they were not measured.

    Attributes: duration_s: of the recording.

    Raises: DataError, naming file, line, column and value.
    """

    name = "replay"

    def __init__(self, path: Path, now_s: Callable[[], float], *, modelled_as: str = "") -> None:
        times_s, column, values = read_recording(path)
        self._times_s = times_s - times_s[0]
        self._power_w = values if column == "power_w" else None
        self._energy_j = _integral_j(self._times_s, values) if column == "power_w" else values - values[0]
        self._now_s = now_s
        self._start_s = now_s()
        self._last_j = 0.0
        self._closed = False
        self.modelled = bool(modelled_as)
        self.duration_s = float(self._times_s[-1])
        self.description = (
            f"{f'modelled earlier ({modelled_as})' if modelled_as else 'measured earlier'}, replayed from {path.name}: "
            f"{'watts, integrated' if column == 'power_w' else 'a joule counter'}, "
            f"{len(values)} samples over {self.duration_s:g} s"
        )

    def read_j(self) -> float:
        """Joules of the recording up to now; after `close` the last value."""
        if not self._closed:
            self._last_j = max(self._last_j, self._at_j(self._now_s() - self._start_s))
        return self._last_j

    def close(self) -> None:
        """Stop counting; the last value stays readable."""
        if not self._closed:
            self.read_j()
            self._closed = True

    def _at_j(self, at_s: float) -> float:
        if self._power_w is None or at_s >= self.duration_s:
            return float(np.interp(at_s, self._times_s, self._energy_j))
        left = int(np.searchsorted(self._times_s, at_s, side="right")) - 1
        if left < 0:
            return 0.0
        power_w = float(np.interp(at_s, self._times_s, self._power_w))
        mean_w = (float(self._power_w[left]) + power_w) / 2
        return float(self._energy_j[left]) + mean_w * (at_s - float(self._times_s[left]))


def read_recording(path: Path) -> tuple[Floats, str, Floats]:
    """Read and check a recording.

    Returns: times of shape (n,), the name of the value column, its values of shape (n,); n is 2 or more.
    Raises: DataError.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, strict=True)
            column = _value_column(path, rows.fieldnames or [])
            pairs = [
                (_number(path, rows.line_num, row, "time_s"), _number(path, rows.line_num, row, column))
                for row in rows
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} can't be read as CSV: {error}", remedy="Give a UTF-8 CSV file") from error
    _check(path, column, pairs)
    table = np.array(pairs, dtype=np.float64)
    return table[:, 0], column, table[:, 1]


def _value_column(path: Path, names: object) -> str:
    found = set(names) if isinstance(names, (list, tuple)) else set()
    values = [name for name in ("power_w", "energy_j") if name in found]
    if "time_s" not in found or len(values) != 1:
        raise DataError(
            f"{path} has the columns {sorted(map(str, found))}",
            remedy="It needs time_s and exactly one of power_w and energy_j",
        )
    return values[0]


def _number(path: Path, line: int, row: dict[str, str | None], column: str) -> float:
    text = row[column]
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise DataError(f"{path}, line {line}: {column} is {text!r}, not a finite number", param=column)
    if column == "power_w" and value < 0:
        raise DataError(f"{path}, line {line}: power_w is {value:g}, below 0", param=column)
    return value


def _check(path: Path, column: str, pairs: list[tuple[float, float]]) -> None:
    if len(pairs) < 2:  # noqa: PLR2004 two points make the shortest line
        raise DataError(f"{path} has {len(pairs)} rows", remedy="A recording needs at least 2")
    for row, ((time_s, value), (next_s, next_value)) in enumerate(pairwise(pairs), start=2):
        if next_s <= time_s:
            raise DataError(f"{path}, row {row}: time_s goes from {time_s:g} to {next_s:g}; it must rise")
        if column == "energy_j" and next_value < value:
            raise DataError(
                f"{path}, row {row}: energy_j falls from {value:g} to {next_value:g}",
                remedy="Cut the recording where the counter was reset",
            )


def _integral_j(times_s: Floats, power_w: Floats) -> Floats:
    """Trapezoid sums from the first row to each row, shape (n,)."""
    steps_j = np.diff(times_s) * (power_w[:-1] + power_w[1:]) / 2
    return np.concatenate(([0.0], np.cumsum(steps_j)))
