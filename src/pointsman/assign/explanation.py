"""A decision in words: every candidate, every term of its score, and what would have changed the choice.

`explain.py` makes it; here is what it holds, and how it reads as text and as JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Final

from pointsman.types import OBJECTIVES, LimitState, Weights

UNITS: Final = ("", "J", "s", "$", "g CO2e")
"""Of `OBJECTIVES`; accuracy is a probability."""

_SMALL: Final = 0.01


@dataclass(frozen=True, slots=True)
class Term:
    """One objective's part of a score: `product = weight * normalised`.

    Attributes:
        value: as predicted, in `unit`; None where it is not known (not a finite number).
        low, high: its interval; None where it has none.
        normalised: the cost in [0, 1]; for accuracy 1 - value. None where it is not known.
        raw: the cost is the predicted amount itself, and the weight what a unit of it costs.
    """

    objective: str
    weight: float
    value: float | None
    low: float | None
    high: float | None
    unit: str
    normalised: float | None
    product: float | None
    raw: bool = False

    def product_text(self) -> str:
        """Weight, cost and their product, e.g. `0.700 x 0.500 = 0.3500`."""
        if self.normalised is None or self.product is None:
            return ""
        if self.raw:
            unit = "" if self.objective == "accuracy" else self.unit
            return f"{self.weight:.4g} x {quantity(self.normalised, unit)} = {score_text(self.product)}"
        return f"{self.weight:.3f} x {self.normalised:.3f} = {self.product:.4f}"

    def value_text(self) -> str:
        """Value, unit and interval, e.g. `4.1 J (3.2 to 5.3)`."""
        if self.value is None:
            return "unknown"
        text = quantity(self.value, self.unit)
        if self.low is None or self.high is None:
            return f"{text} (no interval)"
        if self.low == self.high:
            return text
        return f"{text} ({self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An eligible endpoint.

    Attributes:
        score: lower is better; None where it could not be used or no policy scored.
        terms: empty where the policy uses no weights; else in the order of `OBJECTIVES`.
        dominated_by: endpoints no worse on accuracy, energy, time and price, and better on one.
        notes: what to know of its numbers.
    """

    endpoint: str
    chosen: bool
    score: float | None
    terms: tuple[Term, ...]
    dominated_by: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PredictionChange:
    """A prediction that, changed alone, would have made its endpoint the choice."""

    objective: str
    value: float
    needed: float
    unit: str

    def text(self) -> str:
        """E.g. `its energy were 12% lower (3.1 J, not 3.5 J)`."""
        needed, value = quantity(self.needed, self.unit), quantity(self.value, self.unit)
        if self.objective == "accuracy":
            if f"{self.needed:.3f}" == f"{self.value:.3f}":
                return f"its accuracy were a trifle above {self.value:.3f}"
            return f"its accuracy were {self.needed:.3f}, not {self.value:.3f}"
        if needed == value:
            return f"its {self.objective} were a trifle lower than {value}"
        return f"its {self.objective} were {1 - self.needed / self.value:.1%} lower ({needed}, not {value})"


@dataclass(frozen=True, slots=True)
class Flip:
    """What would have made another endpoint the choice.

    Attributes:
        weights: the nearest that choose it, rounded as far as they still do; None if none do.
        distance: how far the exact ones lie from those used, on the simplex.
        blocked: why no weights choose it.
        predictions: single changes that choose it, the smallest first.
        within_intervals: it would be chosen with its weighted predictions at the better ends of their
            intervals and the chosen endpoint's at the worse; None where one has no interval.
        c_wrong: of a choice by value or within limits, the nearest price of a wrong answer that chooses it.
    """

    endpoint: str
    weights: Weights | None
    distance: float | None
    blocked: str | None
    predictions: tuple[PredictionChange, ...]
    within_intervals: bool | None
    c_wrong: float | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the admission weighed, as `pointsman.types.Valuation` with the endpoint's name."""

    judged_by: str
    quality: float
    run_cost: float | None
    skip_cost: float | None
    threshold: float | None

    def text(self) -> str:
        """E.g. `running is expected to cost 0.31 (on large, quality 0.800), skipping 0.8`."""
        judged = f"on {self.judged_by}, quality {self.quality:.3f}"
        if self.run_cost is not None and self.skip_cost is not None:
            return (
                f"running is expected to cost {self.run_cost:.3g} ({judged}), skipping {self.skip_cost:.3g}"
            )
        limit = "" if self.threshold is None else f", threshold {self.threshold:g}"
        return f"best {judged}{limit}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision, explained (invariant 6).

    Attributes:
        weights: those used, with sum 1; None where the policy uses none.
        candidates: the eligible endpoints, best score first.
        excluded: (endpoint, why a hard filter took it out).
        flips: for each other candidate what would have chosen it, the nearest weights first.
        bypassed: the predictions are priors, since a predictor failed or was late.
        weighed: what the admission decided by; None where it weighed nothing.
        limits: where the limits that the choice was priced by stood.
    """

    request_id: str
    action: str
    reason: str
    policy: str
    endpoint: str | None
    weights: Weights | None
    candidates: tuple[Candidate, ...]
    excluded: tuple[tuple[str, str], ...]
    flips: tuple[Flip, ...]
    bypassed: bool
    weighed: Weighed | None = None
    limits: tuple[LimitState, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; None where there is no number."""
        limits = [
            {name: None if value != value else value for name, value in asdict(limit).items()}  # noqa: PLR0124 - NaN
            for limit in self.limits
        ]
        return asdict(self) | {"excluded": dict(self.excluded), "limits": limits}

    def to_text(self) -> str:
        """Plain text, one screen for a handful of endpoints."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        where = f"{self.action} on {self.endpoint}" if self.endpoint else self.action
        yield f"{self.request_id}: {where}: {self.reason}"
        if self.weighed is not None:
            yield f"admission: {self.weighed.text()}"
        if self.weights is not None:
            yield f"policy {self.policy}, weights {weights_text(self.weights)}"
        else:
            yield f"policy {self.policy}"
        for limit in self.limits:
            yield limit_text(limit)
        if self.bypassed:
            yield "a predictor failed or was late: these predictions are priors"
        for rank, candidate in enumerate(self.candidates, start=1):
            yield from _candidate_lines(rank, candidate)
        for endpoint, why in self.excluded:
            yield f"excluded {endpoint}: {why}"
        if self.flips:
            yield "what would have changed the choice:"
        for flip in self.flips:
            yield f"  {flip.endpoint}: {flip_text(flip, self.weights)}"


def quantity(value: float, unit: str) -> str:
    """A value with its unit, three significant digits."""
    if unit == "$":
        return f"${value:.3g}"
    return f"{value:.3g} {unit}" if unit else f"{value:.3g}"


def limit_text(limit: LimitState) -> str:
    """E.g. `limit quality floor all: 0.762 of 0.75, slack 0.012, price 0.0004`."""
    if isnan(limit.mean):
        return f"limit {limit.name}: nothing yet of {limit.bound:.4g}"
    return (
        f"limit {limit.name}: {limit.mean:.4g} of {limit.bound:.4g}, slack {limit.slack:.3g}, "
        f"price {limit.price:.3g}"
    )


def score_text(score: float) -> str:
    """A score or its part: four decimals, or three digits where those would show nothing."""
    return f"{score:.4f}" if score == 0.0 or abs(score) >= _SMALL else f"{score:.3g}"


def weights_text(weights: Weights, given: Weights | None = None) -> str:
    """The weights above 0; with `given`, what changed of it and by how much."""
    old = given.as_tuple() if given else weights.as_tuple()
    parts = []
    for name, now, before in zip(OBJECTIVES, weights.as_tuple(), old, strict=True):
        if now > 0 or before > 0:
            change = "" if f"{now - before:.3f}".strip("-") == "0.000" else f" ({now - before:+.3f})"
            parts.append(f"{name} {now:.7g}{change}" if given else f"{name} {now:.4g}")
    return ", ".join(parts)


def flip_text(flip: Flip, given: Weights | None) -> str:
    """The ways to another choice in one sentence."""
    if flip.weights is None and flip.blocked is None:
        text = "no price of a wrong answer chooses it"
        if flip.c_wrong is not None:
            text = f"a wrong answer at {flip.c_wrong:.4g}"
    elif flip.weights is None:
        text = f"no weights choose it: {flip.blocked}"
    else:
        text = f"weights {weights_text(flip.weights, given)}"
    if flip.predictions:
        text = f"{text}; or if {flip.predictions[0].text()}"
    else:
        text = f"{text}; no single prediction changes it"
    return f"{text}; within the intervals it could be the better one" if flip.within_intervals else text


def _candidate_lines(rank: int, candidate: Candidate) -> Iterator[str]:
    mark = "  <- chosen" if candidate.chosen else ""
    score = "no score" if candidate.score is None else f"score {score_text(candidate.score)}"
    yield f"{rank}. {candidate.endpoint}  {score}{mark}"
    for term in candidate.terms:
        if term.normalised is None or term.product is None:
            yield f"     {term.objective:<9}{term.value_text()}"
            continue
        if term.weight == 0:
            yield f"     {term.objective:<9}{'no weight':<25}{term.value_text()}"
            continue
        yield f"     {term.objective:<9}{term.product_text():<25}{term.value_text()}"
    if candidate.dominated_by:
        by = ", ".join(candidate.dominated_by)
        yield f"     Pareto-dominated by {by} (accuracy, energy, time, price)"
    for note in candidate.notes:
        yield f"     {note}"
