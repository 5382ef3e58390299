"""Orders side by side, over several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pointsman.metrics.intervals import Interval
from pointsman.sim.measures import Goal, latencies, measures
from pointsman.sim.result import SimResult
from pointsman.types import Floats

_T95: Final = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t, two-sided 95%, with 1 to 9 degrees of freedom."""

_NORMAL95: Final = 1.96


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean over seeds with its 95% interval by Student's t; of one seed without, so NaN."""
    column = np.array(values, dtype=np.float64)
    mean = float(column.mean())
    degrees = len(column) - 1
    if not degrees:
        return Interval(mean, np.nan, np.nan)
    t = _T95[degrees - 1] if degrees <= len(_T95) else _NORMAL95 + 2.4 / degrees
    half = t * float(column.std(ddof=1)) / np.sqrt(len(column))
    return Interval(mean, mean - half, mean + half)


@dataclass(frozen=True, slots=True)
class Run:
    """One order at one load: figures of each seed, and the first seed's latencies for curves."""

    order: str
    load: float | None
    figures: tuple[dict[str, float], ...]
    curves: dict[str, Floats]

    def over(self, name: str) -> Interval:
        """A measure over the seeds."""
        return over_seeds([figures[name] for figures in self.figures])


def compare(
    orders: Sequence[str],
    loads: Sequence[float | None],
    seeds: Sequence[int],
    simulate_one: Callable[[str, float | None, int], SimResult],
    goal: Goal,
    say: Callable[[str], None],
) -> list[Run]:
    """Every order at every load under every seed; the same seed gives every order the same requests."""
    runs = []
    for load in loads:
        for order in orders:
            figures: list[dict[str, float]] = []
            curves: dict[str, Floats] = {}
            for seed in seeds:
                say(f"{order}{'' if load is None else f' at load {load:g}'}, seed {seed}")
                result = simulate_one(order, load, seed)
                figures.append(measures(result, goal))
                curves = curves or latencies(result)
            runs.append(Run(order, load, tuple(figures), curves))
    return runs
