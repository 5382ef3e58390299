"""Carbon by the hour: the grid's intensity is looked up at the driver's wall time before predicting."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.clock import Clock
from pointsman.meters.carbon import GridIntensity
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.types import CostTable, Request


class GridPredictor:
    """A `Predictor` whose carbon follows the grid. It changes the inner predictor's intensity."""

    def __init__(self, inner: ProfilePredictor, grid: GridIntensity, clock: Clock) -> None:
        self.name = inner.name
        self._inner, self._grid, self._clock = inner, grid, clock

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """See `Predictor.predict`."""
        self._inner.set_grid(self._grid.at(self._clock.wall()))
        return self._inner.predict(requests, running)
