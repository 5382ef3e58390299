"""Steps of an engine that are alike but for the context that grows, and the longest of past steps."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from pointsman.sim.step_times import PS


def picoseconds(at_s: float) -> int:
    """The first whole picosecond that is not before `at_s`."""
    at_ps = int(at_s * PS)
    while at_ps / PS < at_s:
        at_ps += 1
    return at_ps


@dataclass(slots=True)
class Stretch:
    """Steps one after another; the first takes `first_ps`, each further one `growth_ps` more."""

    start_ps: int
    steps: int
    first_ps: int
    growth_ps: int

    def end_ps(self) -> int:
        """When the last ends."""
        return self._after(self.steps)

    def end_s(self) -> float:
        """The same in seconds."""
        return self._after(self.steps) / PS

    def longest_ps(self) -> int:
        """Of its steps."""
        return self.first_ps + self.growth_ps * (self.steps - 1)

    def steps_until(self, now_s: float) -> int:
        """How many have ended when whoever comes now is seen: one that is under way is finished."""
        low, high = 0, self.steps
        while low < high:
            middle = (low + high) // 2
            if self._after(middle) / PS >= now_s:
                high = middle
            else:
                low = middle + 1
        return low

    def cut(self, steps: int) -> None:
        """It ends after so many, or sooner."""
        self.steps = min(self.steps, steps)

    def _after(self, steps: int) -> int:
        return self.start_ps + steps * self.first_ps + self.growth_ps * (steps * (steps - 1) // 2)


class LongestSteps:
    """Which step was the longest since any earlier one: a falling stack, so amortised O(1) a stretch."""

    def __init__(self) -> None:
        self._ends: list[int] = []
        self._longest: list[int] = []

    def add(self, end_step: int, longest_ps: int) -> None:
        """Steps up to `end_step` are done; so long was the longest of them."""
        while self._longest and self._longest[-1] <= longest_ps:
            self._longest.pop()
            self._ends.pop()
        self._ends.append(end_step)
        self._longest.append(longest_ps)

    def since(self, step: int) -> int:
        """The longest from this step on, in picoseconds; 0 where there was none. It must be the end of a stretch."""
        at = bisect_right(self._ends, step)
        return self._longest[at] if at < len(self._longest) else 0

    def clear(self) -> None:
        """Nobody is left who could ask."""
        self._ends.clear()
        self._longest.clear()
