"""Outcomes made by a stated rule, for tests: what is true of them is known."""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.predict.outcomes import OutcomeMatrix

EASY_SHARE: Final = 0.9
HARD_SHARE: Final = 0.15
"""How often an endpoint is right on its easy kind of question and on its hard one."""

SHORT_TOKENS: Final = 5.0
LONG_TOKENS: Final = 60.0
"""Mean answer lengths: capitals are short, proofs are long, on every endpoint."""

_THINGS: Final = (
    "triangle", "matrix", "prime", "circle", "series", "limit", "group", "ring", "field", "graph", "tree",
    "knot", "curve", "plane", "cube", "cone",
)  # fmt: skip
_PLACES: Final = (
    "France", "Peru", "Kenya", "Japan", "Norway", "Chad", "Laos", "Cuba", "Fiji", "Oman", "Mali", "Togo",
    "Iran", "Iraq", "Nepal", "Ghana",
)  # fmt: skip


def capital_question(number: int) -> str:
    """A question of the short kind."""
    place = _PLACES[number % len(_PLACES)]
    return f"Name the capital of {place} as it was in the year {1000 + number}."


def proof_question(number: int) -> str:
    """A question of the long kind."""
    thing = _THINGS[number % len(_THINGS)]
    return f"Prove that every {thing} of order {100 + number} has a unique smallest divisor."


def made_outcomes(
    rng: np.random.Generator,
    n: int = 300,
    endpoints: tuple[str, ...] = ("both", "capitals"),
    *,
    missing: float = 0.0,
) -> OutcomeMatrix:
    """N queries, every other one asks for a capital, the others for a proof.

    The first endpoint is right on `EASY_SHARE` of both; the others on that of capitals, and on
    `HARD_SHARE` of proofs. Tasks are `geography` and `mathematics`. A share `missing` of outcomes is not there.
    """
    proof = np.arange(n) % 2 == 1
    prompts = tuple(proof_question(i) if proof[i] else capital_question(i) for i in range(n))
    shares = np.full((n, len(endpoints)), EASY_SHARE)
    shares[proof, 1:] = HARD_SHARE
    quality = (rng.random(shares.shape) < shares).astype(float)
    means = np.where(proof, LONG_TOKENS, SHORT_TOKENS)[:, None]
    tokens = 1.0 + rng.poisson(means, shares.shape).astype(np.float64)
    gone = rng.random(shares.shape) < missing
    quality[gone] = tokens[gone] = np.nan
    tasks = tuple("mathematics" if each else "geography" for each in proof)
    return OutcomeMatrix(tuple(f"q{i}" for i in range(n)), prompts, tasks, endpoints, quality, tokens)
