"""The cascade: ask a small model, judge its answer, and ask a larger one only if that pays.

    keep the answer of e     c_wrong (1 - P(e right | its answer))
    ask f next               c_run(f) + c_wrong (1 - P(f right | the answer of e))

What was spent is spent. The rule looks one step ahead: that the answer of f would be judged as well is
not counted, but for the further samples that would be asked for to judge it: they are a part of c_run(f). Equal costs keep. With a threshold in place of costs, an answer is kept if P(right) reaches it,
and otherwise the next endpoint of the chain is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from pointsman.admit.answer import Verdict
from pointsman.admit.asked import ADMISSIONS
from pointsman.types import (
    UNASSIGNED,
    Admission,
    AnswerSignals,
    Bools,
    CostTable,
    Decision,
    Floats,
    Request,
    ValueTerms,
)

NAME: Final = "cascade"
_NOTHING: Final = AnswerSignals()


class Judge(Protocol):
    """How likely an answer is right, and others given it; see `predict/judge.py`."""

    def right(
        self,
        names: Sequence[str],
        column: int,
        signals: AnswerSignals,
        quality: Floats,
        expected_tokens: Floats,
    ) -> Floats:
        """P(right) of each endpoint, shape (E,), given the signals of the answer at `column`."""
        ...

    def heeds_agreement(self, judged: str) -> bool:
        """Whether further samples of that endpoint would change what is said of its answers."""
        ...


def escalation_costs(right: Floats, column: int, c_run: Floats, c_wrong: float, may_ask: Bools) -> Floats:
    """Expected cost from here on of keeping each of R answers and of asking each other endpoint.

    Args:
        right: P(right) given the answer, shape (R, E).
        column: who answered.
        c_run: of each endpoint, shape (R, E), in the currency of `c_wrong`.
        c_wrong: what a wrong answer costs.
        may_ask: shape (R, E), or (E,) for all.

    Returns: shape (R, E); inf where an endpoint can't be asked or its cost is not known. Asking pays where
        the lowest of a row is below the cost at `column`.
    """
    costs = c_run + c_wrong * (1.0 - right)
    costs = np.where(may_ask & np.isfinite(costs), costs, np.inf)
    costs[:, column] = c_wrong * (1.0 - right[:, column])
    return np.asarray(costs)


class CascadeAnswers:
    """The answer policy of a cascade, for all requests or for those with a model name `router-cascade-<t>`.

    Args:
        endpoints: names in column order.
        chain: names, the smallest first; only later ones are asked after an answer.
        judge: tells how likely answers are right.
        terms: what runs and wrong answers cost.
        always: for every request whose model name chooses no other policy of endpoints; else for
            `router-cascade-<t>` alone.
        samples: answers of an endpoint that are compared, where the judge heeds their agreement.
    """

    name = NAME

    def __init__(
        self,
        endpoints: Sequence[str],
        chain: Sequence[str],
        judge: Judge,
        terms: ValueTerms,
        *,
        always: bool = True,
        samples: int = 1,
    ) -> None:
        self._endpoints, self._chain = tuple(endpoints), tuple(chain)
        self._judge, self._terms, self._always = judge, terms, always
        compared = {name for name in self._chain[:-1] if samples > 1 and judge.heeds_agreement(name)}
        self._samples = np.array([samples if name in compared else 1 for name in self._endpoints])

    def holds(self, request: Request, decision: Decision) -> int:
        """0 unless a later endpoint of the chain can follow; see `AnswerPolicy`."""
        if not self._cascades(request) or decision.action is not Admission.RUN or decision.endpoint is None:
            return 0
        if all(name in decision.excluded for name in self._later(decision.endpoint)):
            return 0
        return int(self._samples[self._endpoints.index(decision.endpoint)])

    def judge(
        self,
        request: Request,
        table: CostTable,
        column: int,
        signals: AnswerSignals | None,
        eligible: Bools,
    ) -> Verdict:
        """Keep the answer, or ask the endpoint that pays; see `AnswerPolicy`."""
        later = self._later(self._endpoints[column])
        may_ask = eligible & np.isin(self._endpoints, later)
        signals = signals or _NOTHING
        right = self._judge.right(
            self._endpoints, column, signals, table.quality.value[0], table.output_tokens.value[0]
        )
        said = f"the answer of {self._endpoints[column]} is right with probability {right[column]:.3f}"
        if signals.agreement is not None:
            said += f" (of its further samples {signals.agreement:.0%} agree)"
        threshold = _threshold(request)
        if threshold is not None:
            return self._by_threshold(threshold, right, column, later, may_ask, said)
        return self._by_cost(request, table, right, column, may_ask, said)

    def _cascades(self, request: Request) -> bool:
        """Whether its caller asks for a cascade, or leaves the choice of endpoints to one that is for all."""
        router = request.router
        if _threshold(request) is not None:
            return True
        return self._always and (router is None or router.policy in ADMISSIONS)

    def _by_cost(
        self, request: Request, table: CostTable, right: Floats, column: int, may_ask: Bools, said: str
    ) -> Verdict:
        c_wrong = self._terms.penalties_of(request).c_wrong
        c_run = self._terms.c_run.of(table) * self._samples
        costs = escalation_costs(right[None, :], column, c_run, c_wrong, may_ask)[0]
        best = int(np.where(may_ask, costs, np.inf).argmin())
        if not may_ask.any():
            return Verdict(UNASSIGNED, f"kept: {said}, and no other can be asked now", costs)
        weighed = f"{costs[best]:.3g} on {self._endpoints[best]} against {costs[column]:.3g}"
        if costs[best] < costs[column]:
            return Verdict(best, f"escalated: {said}; expected cost {weighed}", costs)
        return Verdict(UNASSIGNED, f"kept: {said}; asking again would cost {weighed}", costs)

    def _by_threshold(
        self,
        threshold: float,
        right: Floats,
        column: int,
        later: Sequence[str],
        may_ask: Bools,
        said: str,
    ) -> Verdict:
        score = np.where(may_ask, 1.0 - right, np.inf)
        score[column] = 1.0 - right[column]
        if right[column] >= threshold:
            return Verdict(UNASSIGNED, f"kept: {said}, which reaches {threshold:g}", score)
        for name in later:
            following = self._endpoints.index(name)
            if may_ask[following]:
                return Verdict(following, f"escalated: {said}, below {threshold:g}", score)
        return Verdict(UNASSIGNED, f"kept: {said}, below {threshold:g}, but no other can be asked now", score)

    def _later(self, endpoint: str | None) -> Sequence[str]:
        """What follows an endpoint in the chain; nothing after one that is not in it."""
        if endpoint not in self._chain:
            return ()
        return self._chain[self._chain.index(endpoint) + 1 :]


def _threshold(request: Request) -> float | None:
    """The least P(right) that the caller's model name asks for."""
    router = request.router
    return router.threshold if router is not None and router.policy == NAME else None
