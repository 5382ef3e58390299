"""An endpoint with a limit on its answer as a choice of its own: cheaper, and worth less where the answer is cut.

An answer that does not fit counts as wrong: the quality within a budget is the quality without, times the
probability that the answer fits. A predictor's tokens tell that probability, since for whole numbers

    P(length > b) = E[min(length, b + 1)] - E[min(length, b)]

so any predictor whose lengths follow `max_tokens` will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import numpy as np

from pointsman.predict.base import Predictor, at_most, predict_within
from pointsman.types import Bools, CostTable, Estimate, Request

_NEVER: Final = 1e-9
_NULL: Final = msgspec.Raw(b"null")
_NAMES: Final = ("max_completion_tokens", "max_tokens")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Within:
    """R requests on E endpoints, each answer cut off after so many tokens, or after none.

    Attributes:
        requests: with that limit, or their own where it is lower.
        table: what is then expected.
        offered: shape (R, E): where that is a choice of its own: the budget may cut the answer, and need not. False
            also where the predictor knows no lengths (they have no interval).
    """

    requests: Sequence[Request]
    table: CostTable
    offered: Bools


def within_budgets(
    requests: Sequence[Request], budgets_tokens: Sequence[int], predictor: Predictor, running: Sequence[int]
) -> list[Within]:
    """What is expected without a budget, then within each.

    Args:
        requests: R of them.
        budgets_tokens: each at least 1.
        predictor: over E endpoints.
        running: shape (E,), see `Predictor`.
    """
    limits = [limit for budget in budgets_tokens for limit in (budget, budget + 1)]
    table, *tables = predict_within(predictor, requests, running, [None, *limits])
    everything = np.ones(table.quality.value.shape, dtype=bool)
    made = [Within(requests, table, everything)]
    for budget, cut, beyond in zip(budgets_tokens, tables[::2], tables[1::2], strict=True):
        made.append(_within(at_most(requests, budget), table, cut, beyond))
    return made


def _within(requests: Sequence[Request], table: CostTable, cut: CostTable, beyond: CostTable) -> Within:
    over = np.clip(beyond.output_tokens.value - cut.output_tokens.value, 0.0, 1.0)
    known = np.isfinite(table.output_tokens.low) & np.isfinite(table.output_tokens.high)
    fits, quality = 1.0 - over, table.quality
    scaled = Estimate(quality.value * fits, quality.low * fits, quality.high * fits)
    offered: Bools = known & (over > _NEVER) & (fits > _NEVER)
    return Within(requests, replace(cut, quality=scaled), offered)


def limited(body: bytes, max_tokens: int) -> bytes:
    """A request's body, a JSON object, with this limit on the answer: where it names one, else as `max_tokens`."""
    fields = _decode(body)
    name = next((own for own in _NAMES if bytes(fields.get(own, _NULL)) != b"null"), _NAMES[-1])
    return msgspec.json.encode(fields | {name: msgspec.Raw(str(max_tokens).encode())})
