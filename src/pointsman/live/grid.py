"""Carbon by the hour: the grid's intensity is looked up at the driver's wall time before predicting."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.clock import Clock
from pointsman.meters.carbon import GridIntensity
from pointsman.predict.base import Predictor, is_slow, predict_within, quality_sources
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.types import CostTable, Request


class GridPredictor:
    """A `Predictor` whose carbon follows the grid.

    Args:
        asked: makes the predictions, by `profiles`.
        profiles: its intensity is changed before every prediction.
    """

    def __init__(
        self, asked: Predictor, profiles: ProfilePredictor, grid: GridIntensity, clock: Clock
    ) -> None:
        self.name, self.slow = asked.name, is_slow(asked)
        self.quality_sources = quality_sources(asked)
        self.asked = asked
        self._profiles, self._grid, self._clock = profiles, grid, clock

    def predict(self, requests: Sequence[Request], running: Sequence[int]) -> CostTable:
        """See `Predictor.predict`."""
        self._profiles.set_grid(self._grid.at(self._clock.wall()))
        return self.asked.predict(requests, running)

    def predict_within(
        self, requests: Sequence[Request], running: Sequence[int], limits_tokens: Sequence[int | None]
    ) -> list[CostTable]:
        """See `base.predict_within`."""
        self._profiles.set_grid(self._grid.at(self._clock.wall()))
        return predict_within(self.asked, requests, running, limits_tokens)
