"""What the scheduler class inside vLLM is told: `--additional-config '{"pointsman": {...}}'`, and of each request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from pointsman.engines.priority import PREDICTED_TOKENS, WAITED_S
from pointsman.errors import BadRequest, ConfigError
from pointsman.order.iteration import IterationOrder
from pointsman.order.iteration_orders import IterationSettings, iteration_order


@dataclass(frozen=True, slots=True)
class Options:
    """How the engine orders its requests.

    Attributes:
        order: by what rank.
        most_preemptions: of one request for the sake of others; after that it keeps its slot.
        lengths, lengths_endpoint: see `PromptLengths`; None: predictions come with requests only.
    """

    order: IterationOrder
    most_preemptions: int
    lengths: Path | None = None
    lengths_endpoint: str | None = None


class _Given(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order: str = "ranked+promotion"
    most_preemptions: int = 1
    stretch_s: float = IterationSettings().stretch_s
    cap_tokens: float = IterationSettings().cap_tokens
    threshold_steps: int = IterationSettings().threshold_steps
    quantum_steps: int = IterationSettings().quantum_steps
    quantum_tokens: int = IterationSettings().quantum_tokens
    lengths: str | None = None
    lengths_endpoint: str | None = None


def options_of(additional: Mapping[str, Any]) -> Options:
    """The options in vLLM's additional config. Raises: ConfigError naming what is wrong."""
    try:
        given = msgspec.convert(additional.get("pointsman", {}), _Given)
        settings = IterationSettings(
            given.stretch_s,
            given.cap_tokens,
            given.threshold_steps,
            given.quantum_steps,
            given.quantum_tokens,
        )
        order = iteration_order(given.order, settings)
    except (msgspec.ValidationError, BadRequest) as error:
        raise _refused(str(error)) from error
    for name, least in (
        ("most_preemptions", 0),
        ("threshold_steps", 1),
        ("quantum_steps", 1),
        ("quantum_tokens", 1),
    ):
        if getattr(given, name) < least:
            raise _refused(f"{name} is {getattr(given, name)}, and must be at least {least}")
    if not (0.0 <= given.stretch_s < float("inf") and 0.0 < given.cap_tokens < float("inf")):
        raise _refused("stretch_s must be from 0 up, cap_tokens above 0")
    lengths = None if given.lengths is None else Path(given.lengths)
    return Options(order, given.most_preemptions, lengths, given.lengths_endpoint)


def predicted_of(arguments: Mapping[str, Any] | None, max_tokens: int) -> float | None:
    """Predicted tokens of a request's answer, at most its `max_tokens`; None where none came, or no number."""
    value = _number(arguments, PREDICTED_TOKENS)
    return None if value is None else min(value, float(max_tokens))


def waited_of(arguments: Mapping[str, Any] | None) -> float:
    """Seconds that it had waited at the gateway; 0 where that was not said."""
    return _number(arguments, WAITED_S) or 0.0


def _number(arguments: Mapping[str, Any] | None, name: str) -> float | None:
    """A caller without a gateway may have sent anything."""
    value = (arguments or {}).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) and value >= 0 else None


def _refused(what: str) -> ConfigError:
    return ConfigError(f"--additional-config, pointsman: {what}", remedy="See the options in docs/engines.md")
