"""Measured curves of one endpoint: what a fit leaves behind and a prediction reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pointsman.predict.base import CostModel
from pointsman.predict.cost import ShapeCost
from pointsman.predict.length import LengthModel, LinearLength
from pointsman.predict.polynomial import sides
from pointsman.types import Floats

NOMINAL_COVERAGE: Final = 0.9
"""The share of outcomes that an interval is meant to hold: from the 5% to the 95% quantile."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Input tokens from the bytes of a prompt: `template_tokens + per_byte * bytes`.

    The default, four bytes a token and a chat template of ten tokens, holds without data.
    """

    per_byte: float = 0.25
    template_tokens: float = 10.0

    def predict(self, prompt_bytes: Floats) -> Floats:
        """Tokens, at least one."""
        return np.maximum(self.template_tokens + self.per_byte * prompt_bytes, 1.0)


@dataclass(frozen=True, slots=True)
class LoadFactors:
    """By how much a cost grows when others run on the endpoint at the same time.

    Attributes:
        concurrency: rising, the first is 1: this request and those that run beside it.
        input_side, output_side: factors on the terms of prompt and of decoding, 1 for concurrency 1.
        grows: past the largest concurrency measured, the factor grows in proportion (a saturated
            server); else it stays.
    """

    concurrency: tuple[int, ...] = (1,)
    input_side: tuple[float, ...] = (1.0,)
    output_side: tuple[float, ...] = (1.0,)
    grows: bool = True

    def at(self, concurrency: Floats) -> tuple[Floats, Floats]:
        """Factors on the input side and the output side, interpolated; shapes as given."""
        last = self.concurrency[-1]
        past = np.maximum(concurrency / last, 1.0) if self.grows else np.ones_like(concurrency)
        return (
            past * np.interp(concurrency, self.concurrency, self.input_side),
            past * np.interp(concurrency, self.concurrency, self.output_side),
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """How far measured costs lie from predicted ones, as natural logs of their ratio.

    Attributes:
        concurrency: as in `LoadFactors`.
        below, above: for each, how far the 5% and the 95% quantile lie from the prediction when the
            token counts are known; 0 or above. NaN where nothing was measured.
        scale_below, scale_above: what the widths, with the unknown length in them, are multiplied by
            so that they hold `NOMINAL_COVERAGE` of held-out requests.
    """

    concurrency: tuple[int, ...] = (1,)
    below: tuple[float, ...] = (float("nan"),)
    above: tuple[float, ...] = (float("nan"),)
    scale_below: float = 1.0
    scale_above: float = 1.0

    def at(self, concurrency: Floats) -> tuple[Floats, Floats]:
        """`below` and `above`, interpolated; past the largest concurrency measured they stay."""
        return (
            np.interp(concurrency, self.concurrency, self.below),
            np.interp(concurrency, self.concurrency, self.above),
        )

    def trust(self, concurrency: Floats) -> Floats:
        """Least variance over the variance at this concurrency: how much a measurement tells of drift.

        In (0, 1]; 1 where nothing was measured.
        """
        below, above = self.at(concurrency)
        least = min(low + high for low, high in zip(self.below, self.above, strict=True))
        share = np.minimum(least / (below + above), 1.0)
        return np.asarray(np.nan_to_num(share**2, nan=1.0), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Seconds or joules of one request on one endpoint.

    Attributes:
        model: for a request that runs alone.
        floor: predictions are at least this, since `ols` can go below zero; seconds or joules.
    """

    model: CostModel
    floor: float
    load: LoadFactors = field(default_factory=LoadFactors)
    spread: Spread = field(default_factory=Spread)

    def predict(self, input_tokens: Floats, output_tokens: Floats, concurrency: Floats) -> Floats:
        """For arrays of one shape; `concurrency` counts the request itself."""
        on_input, on_output = self.load.at(concurrency)
        alone, decoding = sides(self.model, input_tokens, output_tokens)
        return np.maximum(on_input * alone + on_output * decoding, self.floor)


@dataclass(frozen=True, slots=True)
class QualityPrior:
    """How often the endpoint was right on a task: shrunk mean, 90% interval, judged answers."""

    mean: float = 0.5
    low: float = 0.0
    high: float = 1.0
    n: int = 0


NO_PRIOR: Final = QualityPrior()
"""Of an endpoint of which nothing is known, neither outcomes nor a declared accuracy."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the numbers are from.

    Attributes:
        source: a file's name, or `defaults`.
        meter: what measured energy; empty where none did.
        energy_modelled: energy follows from CPU time and stated watts, not from a meter.
        measured_on: date of the first row, ISO; empty where unknown.
    """

    source: str
    hardware: str = ""
    meter: str = ""
    energy_modelled: bool = False
    rows: int = 0
    measured_on: str = ""

    def sentence(self) -> str:
        """One sentence for reports and explanations."""
        if self.rows == 0 and self.source == "defaults":
            return "not measured: documented defaults, without intervals"
        energy = f"energy {'modelled' if self.energy_modelled else 'measured'} by {self.meter}"
        parts = [f"{self.rows} rows of {self.source}" if self.rows else f"from {self.source}"]
        parts += [self.hardware] if self.hardware else []
        parts += [energy if self.meter else "energy not measured"]
        parts += [f"on {self.measured_on}"] if self.measured_on else []
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """One endpoint's fitted curves.

    Attributes:
        quality: task -> prior; the key "" is for all tasks together and for those not seen.
    """

    endpoint: str
    tokens: TokenCount
    length: LengthModel
    time: CostCurve
    energy: CostCurve
    quality: Mapping[str, QualityPrior]
    provenance: Provenance


DEFAULT_TIME: Final = CostCurve(ShapeCost(np.array([0.3, 0.0005, 0.02, 0.0])), floor=0.01)
"""Without data: 0.3 s, and 2,000 input and 50 output tokens a second."""

DEFAULT_ENERGY: Final = CostCurve(
    ShapeCost(np.array([30.0, 0.05, 2.0, 0.0])), floor=0.1, load=LoadFactors(grows=False)
)
"""Without data: 100 W for as long as `DEFAULT_TIME` says."""


def default_profile(endpoint: str) -> ModelProfile:
    """What is assumed of an endpoint that was never measured; it has no intervals and says so."""
    return ModelProfile(
        endpoint,
        TokenCount(),
        LinearLength(),
        DEFAULT_TIME,
        DEFAULT_ENERGY,
        {"": NO_PRIOR},
        Provenance("defaults"),
    )
