"""From the quality that a plan is told to reach to what it really reaches, learnt from held-out forecasts.

The cheapest of many noisy forecasts are too good to be true: a plan told to reach .65 reaches less. How
much less depends on what a unit of quality may cost, since that decides which pairs are chosen. So for a
row of prices there is kept what chosen pairs were forecast above their labels on held-out rows (`bias`),
and how far a row's label is from its forecast (`spread`). A plan for m rows at a price then reaches

    forecast - bias -+ z spread sqrt(1/n + 1/m)        n held-out rows, z by the confidence

The root's second part is the luck of the m labels themselves, which no forecast removes: at .65 and 1,000
requests 95% costs about 2.2 points. Confidence is in one batch (or, for a stream, in the next m
requests) drawn like the held-out rows; floors of several groups hold with that confidence each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.check import check_number
from pointsman.assign.contrasts import Contrasts
from pointsman.assign.frontier import Frontier, frontier
from pointsman.errors import BadRequest, DataError
from pointsman.types import Floats

KNOTS: Final = 64
_LEAST_ROWS: Final = 30
_VERSION: Final = 1
_ARRAYS: Final = ("price", "forecast", "bias", "spread")


@dataclass(frozen=True, slots=True)
class Assurance:
    """What a floor with a confidence asks of a plan.

    Attributes:
        asked: of the real mean quality.
        confidence: that it is reached.
        rows: requests that the mean is over.
        effective: what the forecasts must reach.
        bias, margin: `effective` is `asked` + `bias` + `margin`, but where it is out of reach.
        price: of a unit of quality, in the unit of cost, at which that is reached.
        best: the highest floor that could be asked.
    """

    asked: float
    confidence: float
    rows: int
    effective: float
    bias: float
    margin: float
    price: float
    best: float

    @property
    def holds(self) -> bool:
        """Whether the floor can be promised; else `effective` is that of `best`."""
        return self.best >= self.asked

    @property
    def words(self) -> str:
        """What is asked, and what it takes."""
        said = f"at least {self.asked:.4g} with {self.confidence:.0%} over {self.rows:,} requests"
        if not self.holds:
            return f"{said} can't be promised: at most {self.best:.4g}"
        return (
            f"{said}: forecasts must reach {self.effective:.4g}, {100 * self.bias:.2g} points for what they "
            f"overstate and {100 * self.margin:.2g} for chance"
        )


@dataclass(frozen=True, slots=True, eq=False)
class FloorCalibration:
    """Fitted once for endpoints and an objective; small, and the same for batches of any size.

    Attributes:
        endpoints: the E columns.
        contrasts: what shrinks the forecasts; `bias` and `spread` are of shrunk ones.
        price: shape (L,), ascending: what a unit of quality may cost in one request.
        forecast: shape (L,), mean forecast of the pairs chosen at each price, on the held-out rows.
        bias: shape (L,), by how much that is above their labels.
        spread: shape (L,), the standard deviation of forecast less label, of one row.
        rows: held-out rows with labels.
    """

    endpoints: tuple[str, ...]
    contrasts: Contrasts
    price: Floats
    forecast: Floats
    bias: Floats
    spread: Floats
    rows: int

    @classmethod
    def fit(
        cls,
        endpoints: Sequence[str],
        cost: Floats,
        quality: Floats,
        labels: Floats,
        *,
        tasks: Sequence[str],
        groups: NDArray[np.int64],
        folds: NDArray[np.int64],
    ) -> Self:
        """From held-out forecasts and what came of them.

        Args:
            endpoints: E names.
            cost: the objective, shape (N, E), in the unit of the problems to come.
            quality: calibrated forecasts of rows that were not learnt, shape (N, E), as `FittedQuality.held_out`.
            labels: shape (N, E), NaN where unknown.
            tasks: N names, "" where unknown; as requests will name them.
            groups: shape (N,): rows with one number are alike, such as repeats of a prompt.
            folds: shape (N,): rows with one number were forecast by one model.

        Raises: DataError for fewer than 30 rows, or no labels of chosen pairs.
        Cost: a frontier, and a look at N rows for each of 64 prices.
        """
        if len(labels) < _LEAST_ROWS:
            raise DataError(
                f"{len(labels)} held-out rows can't calibrate a floor", remedy=f"Give at least {_LEAST_ROWS}"
            )
        contrasts = Contrasts.fit(quality, labels, tasks, folds)
        shrunk = contrasts.held_out(quality, tasks, folds)
        way = frontier(cost, shrunk)
        steps = _knots(way, way.means(shrunk))
        group = np.unique(groups, return_inverse=True)[1].ravel()
        measured = [_measured(shrunk, labels, way.choice(at), group) for at in steps.tolist()]
        forecast, bias, spread, rows = np.array(measured).T
        price = _prices(way)[steps]
        return cls(tuple(endpoints), contrasts, price, forecast, bias, spread, int(rows.min()))

    def assurance(
        self,
        asked: float,
        confidence: float,
        rows: int,
        forecast_at: Callable[[float], float] | None = None,
    ) -> Assurance:
        """What forecasts must reach so that the real mean is at least `asked`.

        Args:
            asked: in [0, 1].
            confidence: from .5 (no margin: as likely below as above) to less than 1.
            rows: how many requests the mean is over; for a stream, over how many it is to hold.
            forecast_at: the batch's mean forecast (shrunk) where pairs are chosen at a price; None for a
                stream, which is taken to be like the held-out rows.

        Raises: BadRequest for numbers that can't be used.
        Cost: about 7 calls of `forecast_at`.
        """
        check_number("quality floor", asked, 0.0, 1.0)
        if not 0.5 <= confidence < 1:  # noqa: PLR2004
            raise BadRequest(
                f"a floor can't hold with a confidence of {confidence:g}", remedy="Give .5 or more, below 1"
            )
        if rows < 1:
            raise BadRequest(f"a mean over {rows} requests has no floor", remedy="Give at least one request")
        z = NormalDist().inv_cdf(confidence)
        margin = z * self.spread * np.sqrt(1 / self.rows + 1 / rows)
        off = self.bias + margin
        known: dict[int, float] = {}

        def assured(knot: int) -> float:
            if knot not in known:
                forecast = (
                    self.forecast[knot] if forecast_at is None else forecast_at(float(self.price[knot]))
                )
                known[knot] = float(forecast - off[knot])
            return known[knot]

        last = int((self.forecast - off).argmax())
        best = assured(last)
        low, high = -1, last
        while high - low > 1 and best >= asked:
            middle = (low + high) // 2
            low, high = (low, middle) if assured(middle) >= asked else (middle, high)
        at = float(high)
        if low >= 0 and best >= asked:
            at = low + (asked - assured(low)) / (assured(high) - assured(low))
        knots = np.arange(len(self.price))
        bias, width, price = (float(np.interp(at, knots, own)) for own in (self.bias, margin, self.price))
        effective = min(1.0, max(0.0, min(asked, best) + bias + width))
        return Assurance(asked, confidence, rows, effective, bias, width, price, best)

    def to_document(self) -> dict[str, Any]:
        """As JSON can hold it."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {
            "version": _VERSION,
            "endpoints": list(self.endpoints),
            "contrasts": self.contrasts.to_document(),
            "rows": self.rows,
        } | arrays

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `to_document` gave. Raises: DataError for another version, or numbers that can't be."""
        if document.get("version") != _VERSION:
            raise DataError(
                f"a floor's calibration of version {document.get('version')!r} can't be read",
                remedy="Fit it again",
            )
        price, forecast, bias, spread = (np.array(document[name], dtype=float) for name in _ARRAYS)
        same = price.shape == forecast.shape == bias.shape == spread.shape and price.size > 0
        if not (same and np.isfinite([price, forecast, bias, spread]).all()):
            raise DataError("a floor's calibration holds numbers that can't be", remedy="Fit it again")
        contrasts = Contrasts.from_document(document["contrasts"])
        rows = int(document["rows"])
        return cls(tuple(document["endpoints"]), contrasts, price, forecast, bias, spread, rows)


def _knots(way: Frontier, forecast: Floats) -> NDArray[np.int64]:
    """Steps after which to look: even in the forecast quality, at most one for a price."""
    even = np.searchsorted(forecast, np.linspace(forecast[0], forecast[-1], KNOTS))
    steps = np.unique(np.concatenate([[0], np.minimum(even, len(way.price)), [len(way.price)]]))
    price = _prices(way)[steps]
    last = np.concatenate([price[1:] > price[:-1], [True]])
    knots: NDArray[np.int64] = steps[last]
    return knots


def _prices(way: Frontier) -> Floats:
    """Of quality after 0, 1 ... S steps; before the first one so low that it only breaks ties."""
    return np.concatenate([way.price[:1] / 2 if len(way.price) else [0.0], way.price])


def _measured(
    quality: Floats, labels: Floats, choice: NDArray[np.int64], group: NDArray[np.int64]
) -> tuple[float, float, float, int]:
    """Mean forecast of the chosen pairs, bias, spread of a row, and how many have labels."""
    every = np.arange(len(choice))
    chosen, label = quality[every, choice], labels[every, choice]
    known = np.isfinite(label)
    rows = int(known.sum())
    if rows < _LEAST_ROWS:
        raise DataError(
            f"of the pairs that a plan would choose only {rows} have labels",
            remedy=f"Collect at least {_LEAST_ROWS}",
        )
    off = (chosen - label)[known]
    bias = float(off.mean())
    together = np.bincount(group[known], weights=off - bias)
    return float(chosen.mean()), bias, float(np.sqrt((together**2).sum() / rows)), rows
