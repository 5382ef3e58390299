"""How long a step of an engine takes: a line in what it computes, fitted to measurements (`data/step_times.json`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from pointsman.errors import BadRequest
from pointsman.types import Floats

PS: Final = 10**12
"""Picoseconds in a second: an engine's time is a whole number of them, so that sums are exact in any order."""


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Coefficients of a step's time, each at least 0, not all 0.

        base + sequence * sequences + context * context tokens that decodes read + prefill * prompt tokens

    Attributes:
        name, source: what was measured, and where that stands.
        base_s, sequence_s, context_token_s, prefill_token_s: seconds.
        error: mean absolute relative error of the fit; None where nothing was fitted.
        power_w: mean power while it works; None where none was measured.
    """

    name: str
    source: str
    base_s: float
    sequence_s: float
    context_token_s: float
    prefill_token_s: float
    error: float | None = None
    power_w: float | None = None

    def alone_s(self, prompt_tokens: Floats, output_tokens: Floats) -> Floats:
        """Of requests that have the engine for themselves, the prompt in one step. Arrays of one shape."""
        later = np.maximum(0.0, output_tokens - 1)
        contexts = later * (prompt_tokens + (later + 1) / 2)
        steps_s = (self.base_s + self.sequence_s) * (later + 1)
        return steps_s + self.prefill_token_s * prompt_tokens + self.context_token_s * contexts

    def share_s(self, prompt_tokens: Floats, output_tokens: Floats, slots: int) -> Floats:
        """Of the engine's time, what requests take while all slots are busy: its most a second is 1 over the mean."""
        shared_s = (self.base_s / slots + self.sequence_s) * output_tokens
        contexts = output_tokens * (prompt_tokens + output_tokens / 2)
        return shared_s + self.prefill_token_s * prompt_tokens + self.context_token_s * contexts


@cache
def shipped_times() -> dict[str, StepTimes]:
    """What is shipped, by name; `bench/step_times.py` made it."""
    text = (files("pointsman.data") / "step_times.json").read_text(encoding="utf-8")
    return {row["name"]: StepTimes(**row) for row in json.loads(text)}


def times_named(name: str) -> StepTimes:
    """One that is shipped. Raises: BadRequest naming them all."""
    found = shipped_times().get(name)
    if found is None:
        raise BadRequest(
            f"no times are known of an engine {name!r}",
            remedy=f"Choose among {', '.join(sorted(shipped_times()))}",
        )
    return found
