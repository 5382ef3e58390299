"""Measured requests and fits made by a stated rule, for tests: what is true of them is known."""

from __future__ import annotations

import numpy as np

from pointsman.predict.artifact import FitArtifact
from pointsman.predict.model_profile import Provenance
from pointsman.predict.profile_fit import fit_profile
from pointsman.predict.profile_rows import ProfileRows
from pointsman.types import Floats

TRUE_TIME_S = (0.1, 0.002, 0.03, 1e-5)
"""Coefficients of the shape that `made_rows` follows, for an endpoint of speed 1."""

_TASKS = ("arithmetic", "fact", "reasoning", "code", "chat")
_MEAN_TOKENS = (4.0, 6.0, 12.0, 60.0, 40.0)
_RIGHT = (0.8, 0.9, 0.4, 0.3, 0.5)


def made_rows(
    rng: np.random.Generator, n: int = 400, *, speed: float = 1.0, noise: float = 0.05
) -> ProfileRows:
    """N requests that follow `TRUE_TIME_S / speed`, half as fast again with every other that runs.

    Energy is 40 W for the time alone. Caps of 48 tokens cut some answers.
    """
    task = rng.integers(0, len(_TASKS), n)
    prompt_bytes = rng.integers(20, 1200, n).astype(float)
    inputs = np.round(12 + 0.25 * prompt_bytes)
    wanted = 1.0 + rng.poisson(np.array(_MEAN_TOKENS)[task])
    caps = np.full(n, 48.0)
    outputs = np.minimum(wanted, caps)
    concurrency = rng.choice([1.0, 2.0, 4.0], n, p=[0.6, 0.25, 0.15])
    alone = true_time_s(inputs, outputs) / speed * np.exp(rng.normal(0, noise, n))
    return ProfileRows(
        prompt=np.arange(n),
        task=np.array(_TASKS)[task],
        prompt_bytes=prompt_bytes,
        input_tokens=inputs,
        output_tokens=outputs,
        cut=wanted > caps,
        max_tokens=caps,
        concurrency=concurrency,
        time_s=alone * (1 + 0.5 * (concurrency - 1)),
        energy_j=40.0 * alone,
        score=(rng.random(n) < np.array(_RIGHT)[task]).astype(float),
    )


def true_time_s(inputs: Floats, outputs: Floats) -> Floats:
    """Seconds of a request that runs alone at speed 1, without noise."""
    a, b, c, d = TRUE_TIME_S
    return np.asarray(a + b * inputs + c * outputs + d * outputs * (inputs + outputs / 2), dtype=np.float64)


def made_artifact(
    rng: np.random.Generator, speeds: dict[str, float], *, cost: str = "shape", length: str = "task_mean"
) -> FitArtifact:
    """Fits of `made_rows`, one for each name."""
    origin = Provenance("made.parquet", "no machine", "made", energy_modelled=True, measured_on="2026-01-01")
    profiles = tuple(
        fit_profile(name, made_rows(rng, speed=speed), origin, cost=cost, length=length)
        for name, speed in speeds.items()
    )
    return FitArtifact(profiles, "sha256:made", (("cost", cost), ("length", length)))
