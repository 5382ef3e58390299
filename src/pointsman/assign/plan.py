"""What came of a problem: the choices, what they cost, how far from the best possible, which limits bind.

    plan = solve(problem)
    plan.choice, plan.objective, plan.bound, plan.gap
    [limit.words for limit in plan.limits if limit.binding]
    plan.required()                     raises Infeasible where a limit is broken

A dual is what one more unit of a limit would save, in the unit of the cost: the words say it in units
that people use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointsman.assign.problem import LimitKind
from pointsman.errors import Infeasible

TOLERANCE: Final = 1e-9
"""A limit is kept if it is missed by no more than this share of it: rounding of a sum, nothing else."""

_BINDING: Final = 1e-3
_NOISE: Final = 1e-4
_POINT: Final = 0.01
_THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit and what a plan makes of it.

    Attributes:
        name: `all`, `tenant a`, an endpoint, `price_usd`.
        used: the mean quality of a floor's rows, else the sum of what is used.
        limit: the least mean quality, else the most that may be used.
        dual: what one unit more would save, at least 0: a unit of summed quality, a request, a second, ...
        rows: how many rows a floor is over; 0 for other limits.
        cost_unit: of `dual`.
        objective: of the plan, in that unit, to tell a price from the noise of a search for prices; None where
            every price counts.
    """

    kind: LimitKind
    name: str
    used: float
    limit: float
    dual: float = 0.0
    rows: int = 0
    cost_unit: str = "$"
    objective: float | None = None

    @property
    def slack(self) -> float:
        """How far the limit is from being broken; negative where it is."""
        return self.used - self.limit if self.kind is LimitKind.FLOOR else self.limit - self.used

    @property
    def holds(self) -> bool:
        """Whether it is kept, but for the rounding of a sum."""
        return self.slack >= -TOLERANCE * max(1.0, abs(self.limit))

    @property
    def price(self) -> float:
        """The dual; 0 where all that is used, at that price, is nothing beside the objective."""
        amount = max(self.used, 1.0) * max(self.rows, 1)
        noise = self.objective is not None and not self.dual * amount > _NOISE * self.objective > 0
        return 0.0 if noise else self.dual

    @property
    def binding(self) -> bool:
        """Whether it shapes the plan: it has a price, or all of it is used up."""
        return self.price > 0 or (math.isfinite(self.limit) and self.slack < _BINDING * abs(self.limit))

    @property
    def words(self) -> str:
        """Use, limit and price: "one more point of quality costs 0.8 cents a thousand requests"."""
        used = f"{self.kind} {self.name}: {self.used:.6g} of {self.limit:.6g}"
        if not self.price:
            return used
        if self.kind is LimitKind.FLOOR:
            cost = money(self.dual * _POINT * _THOUSAND, self.cost_unit)
            return f"{used}; one more point of quality costs {cost} a thousand requests"
        unit = {LimitKind.SHARE: "request", LimitKind.WORK: "second"}.get(self.kind, "unit")
        return f"{used}; one more {unit} saves {money(self.dual, self.cost_unit)}"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why no plan keeps all limits.

    Attributes:
        limit: the tightest, as "quality floor all".
        asked: of it.
        reachable: the best that the other limits leave: the highest mean quality, the least use. A bound:
            nothing beyond it can be reached. None where the others can't be kept either.
    """

    limit: str
    asked: float
    reachable: float | None

    @property
    def words(self) -> str:
        """What is asked, what can be reached."""
        if self.reachable is None:
            return (
                f"{self.limit} asks for {self.asked:.6g}, and the limits beside it can't all be kept either"
            )
        return f"{self.limit} asks for {self.asked:.6g}; with the other limits kept, {self.reachable:.6g} can be reached"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A column for each request.

    Attributes:
        policy: who made it.
        choice: shape (R,), indices of columns.
        objective: the sum of the chosen costs.
        bound: no plan that keeps all limits costs less; None where it was not asked for.
        limits: every finite one.
        shortfall: where the limits are proven to exclude one another.
    """

    policy: str
    choice: NDArray[np.int32]
    objective: float
    bound: float | None
    limits: tuple[LimitUse, ...]
    shortfall: Shortfall | None = None

    @property
    def feasible(self) -> bool:
        """Whether all limits are kept."""
        return all(limit.holds for limit in self.limits)

    @property
    def gap(self) -> float | None:
        """How much of the objective could at most be saved, in [0, 1]; None without a bound or a feasible plan."""
        if self.bound is None or not self.feasible:
            return None
        return max(0.0, self.objective - self.bound) / self.objective if self.objective > 0 else 0.0

    @property
    def broken(self) -> tuple[LimitUse, ...]:
        """Limits that are not kept."""
        return tuple(limit for limit in self.limits if not limit.holds)

    def required(self) -> Plan:
        """The plan itself.

        Raises: Infeasible where a limit is broken, with the tightest and the best that can be reached.
        """
        if self.feasible:
            return self
        if self.shortfall is not None:
            raise Infeasible(
                f"no plan keeps all limits: {self.shortfall.words}",
                remedy="Ask for no more than that, or loosen the others",
            )
        raise Infeasible(
            f"no plan was found that keeps all limits; broken: {'; '.join(own.words for own in self.broken[:3])}",
            remedy="Loosen one of them slightly",
        )


def money(amount: float, unit: str) -> str:
    """An amount in words; dollars below 1 in cents."""
    if unit == "$":
        return f"{100 * amount:.3g} cents" if amount < 1 else f"${amount:,.2f}"
    return f"{amount:.3g} {unit}"
