"""The limits of one request as a hard filter on its predictions, under every policy.

A pair keeps them when its predicted quality is at least, its predicted price and energy are at most what the
request asks; a prediction that is not a finite number keeps none. What earlier runs of the request took (of a
cascade, or samples) is taken off its price and energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from typing import Final, NamedTuple

import numpy as np

from pointsman.types import Bools, CostTable, Floats, Limits, Outcome, Request

LIMITS_UNMET: Final = "limits_unmet"
"""The code of a request that is refused for its limits."""

_DIGITS: Final = 3


class _Kind(NamedTuple):
    """What is limited: its column of the table and field of an outcome, and its words."""

    column: str
    word: str
    best: str
    unit: str = ""
    at_least: bool = False

    def keeps(self, values: Floats, limit: float) -> Bools:
        kept = values >= limit if self.at_least else values <= limit
        return np.asarray(kept & np.isfinite(values))

    def said(self, digits: str) -> str:
        """A number with its unit."""
        return f"${digits}" if self.unit == "$" else f"{digits} {self.unit}".rstrip()

    def beyond(self, value: float, limit: float) -> str:
        """A value that breaks the limit, with the digits that show it; 17 give any float back."""
        digits = _DIGITS
        while self._met(float(text := f"{value:.{digits}g}"), limit):
            digits += 1
        return self.said(text)

    def reachable(self, value: float) -> str:
        """A predicted value rounded so that, asked for, it is kept."""
        text = f"{value:.{_DIGITS}g}"
        if not self._met(value, float(text)):
            context = Context(prec=_DIGITS, rounding=ROUND_FLOOR if self.at_least else ROUND_CEILING)
            text = f"{float(context.create_decimal_from_float(value)):.{_DIGITS}g}"
        return self.said(text)

    def _met(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


_QUALITY: Final = _Kind("quality", "quality", "the best predicted quality", at_least=True)
_PRICE: Final = _Kind("price_usd", "price", "the cheapest", "$")
_ENERGY: Final = _Kind("energy_j", "energy", "the least predicted energy", "J")


def breaches(limits: Limits, table: CostTable, row: int, runs: Sequence[Outcome] = ()) -> list[str | None]:
    """Why each endpoint breaks a limit, None where it keeps all; E of them.

    Args:
        limits: of the request.
        table: predictions.
        row: that of the request.
        runs: what it has run already; of what was not measured of one, the prediction counts.
    """
    why: list[str | None] = [None] * len(table.endpoints)
    for kind, limit in _asked(limits):
        values = getattr(table, kind.column).value[row]
        left = limit - _taken(kind, table, row, runs)
        asked = _limit_said(kind, limit, left)
        for e in np.flatnonzero(~kind.keeps(values, left)).tolist():
            if why[e] is None:
                why[e] = _breach(kind, float(values[e]), left, asked)
    return why


def runs_within(limits: Limits, table: CostTable, row: int, column: int, runs: Sequence[Outcome]) -> float:
    """How many runs on the endpoint `column` its price and energy allow beside `runs`; inf where they set no bound."""
    most = np.inf
    for kind, limit in _asked(limits):
        each = float(getattr(table, kind.column).value[row, column])
        if not kind.at_least and each > 0.0:
            most = min(most, (limit - _taken(kind, table, row, runs)) / each)
    return most


def unmet(request: Request, table: CostTable, row: int, excluded: Mapping[str, str]) -> str | None:
    """One sentence for a request that no endpoint can serve: which limits stand against it, and what can be had.

    Args:
        request: it has no eligible endpoint.
        table: predictions.
        row: that of the request.
        excluded: endpoint name -> why it can't serve the request.

    Returns: None where no endpoint is out for its limits.
    """
    if request.limits is None:
        return None
    why = breaches(request.limits, table, row)
    out = np.array(
        [w is not None and excluded.get(n) == w for n, w in zip(table.endpoints, why, strict=True)]
    )
    if not out.any():
        return None
    asked = _asked(request.limits)
    wanted = " and ".join(f"{kind.word} {_bound(kind, limit)}" for kind, limit in asked)
    parts = [_best(kind, asked, table, row, out) for kind, _ in asked]
    parts += [f"{n}: {w}" for n, w in excluded.items() if not out[table.endpoints.index(n)]]
    if table.bypassed:
        parts.append("the predictions failed or were late, so that these are priors")
    return f"no endpoint can serve this request within its limits, {wanted}: {'; '.join(parts)}"


def _asked(limits: Limits) -> list[tuple[_Kind, float]]:
    of = ((_QUALITY, limits.min_quality), (_PRICE, limits.max_price_usd), (_ENERGY, limits.max_energy_j))
    return [(kind, limit) for kind, limit in of if limit is not None]


def _taken(kind: _Kind, table: CostTable, row: int, runs: Sequence[Outcome]) -> float:
    """What runs took of it; nothing of quality."""
    if kind.at_least:
        return 0.0
    taken = 0.0
    for run in runs:
        measured = getattr(run, kind.column)
        if measured is None:
            measured = getattr(table, kind.column).value[row, table.endpoints.index(run.endpoint)]
        taken += float(measured)
    return taken


def _breach(kind: _Kind, value: float, left: float, asked: str) -> str:
    if not math.isfinite(value):
        return f"its predicted {kind.word} is not known, and the request limits it"
    return f"its predicted {kind.word} {kind.beyond(value, left)} is {asked}"


def _limit_said(kind: _Kind, limit: float, left: float) -> str:
    said = f"the request's {kind.said(f'{limit:g}')}"
    if left != limit:
        said = f"{kind.said(f'{max(left, 0.0):g}')}, what is left of {said}"
    return f"{'below' if kind.at_least else 'above'} {said}"


def _bound(kind: _Kind, limit: float) -> str:
    return f"at {'least' if kind.at_least else 'most'} {kind.said(f'{limit:g}')}"


def _best(kind: _Kind, asked: Sequence[tuple[_Kind, float]], table: CostTable, row: int, out: Bools) -> str:
    """The best that can be had of one limit where the others are kept; of all if nobody keeps them."""
    values: Floats = getattr(table, kind.column).value[row]
    among = out & np.isfinite(values)
    if not among.any():
        return f"no predicted {kind.word} is known"
    others = [(other, limit) for other, limit in asked if other is not kind]
    within = among.copy()
    for other, limit in others:
        within &= other.keeps(getattr(table, other.column).value[row], limit)
    where = "within the other limits " if others and within.any() else ""
    among = within if within.any() else among
    sign = -1.0 if kind.at_least else 1.0
    best = int(np.where(among, sign * values, np.inf).argmin())
    return f"{where}{kind.best} is {kind.reachable(float(values[best]))}, by {table.endpoints[best]}"
