"""Model names that choose a policy: `router-<policy>-<threshold>`, e.g. `router-floor-0.7`.

Source: RouteLLM. Differs in: the policies, and that the threshold is on the probability of being right.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pointsman.errors import BadRequest

PREFIX: Final = "router-"
ROUTERS: Final = MappingProxyType(
    {
        "floor": "the cheapest endpoint whose predicted quality reaches the threshold, else the best",
        "threshold": "skipped unless the best predicted quality reaches the threshold",
        "random": "the share that the threshold names runs, drawn by chance",
    }
)
"""What callers may name, and what it does."""


@dataclass(frozen=True, slots=True)
class Router:
    """A policy that the caller chose by a model name."""

    policy: str
    threshold: float


def read_router(name: str, known: Collection[str] = ROUTERS) -> Router | None:
    """The policy that a model name chooses; None if it names none of `known`.

    Raises: BadRequest if its threshold is no number from 0 to 1.
    """
    policy, _, said = name.removeprefix(PREFIX).partition("-")
    if not name.startswith(PREFIX) or policy not in known:
        return None
    threshold = _number(said)
    if not 0.0 <= threshold <= 1.0:
        raise BadRequest(
            f"the model {name[:128]!r} has the threshold {said[:64]!r}",
            remedy=f"Write {PREFIX}{policy}-T with a number T from 0 to 1, such as {PREFIX}{policy}-0.6",
            param="model",
        )
    return Router(policy, threshold)


def router_names(known: Collection[str] = ROUTERS) -> tuple[str, ...]:
    """How such names are written, for messages."""
    return tuple(f"{PREFIX}{policy}-T" for policy in known)


def _number(text: str) -> float:
    """A plain decimal number; NaN for anything else."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan
