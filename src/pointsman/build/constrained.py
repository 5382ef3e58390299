"""The policy `constrained` from its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.floor_calibration import FloorCalibration
from pointsman.assign.stream_terms import ConstrainedTerms, floor_name
from pointsman.build.predictions import held_out_of, predictor_of
from pointsman.clock import RealClock
from pointsman.config import Config
from pointsman.config.stream_limits import as_mapping
from pointsman.errors import ConfigError
from pointsman.predict.held_out_prices import priced
from pointsman.types import Endpoint


def constrained_of(config: Config, endpoints: Sequence[Endpoint]) -> ConstrainedAssign:
    """The policy over these endpoints.

    Raises: ConfigError for limits and an objective that don't fit them, or floors that can't be promised; with
        a confidence also what `held_out_of` raises.
    """
    made, limits = config.policy, config.policy.limits
    weights, share = as_mapping(made.objective), as_mapping(limits.max_share_requests)
    _check_objective(weights.get("cost", 0.0), sum(weights.values()), endpoints)
    _check_shares(share, endpoints, skips=made.skip_cost is not None)
    terms = ConstrainedTerms(
        per_usd=weights.get("cost", 0.0),
        per_j=weights.get("energy", 0.0),
        per_s=weights.get("time", 0.0),
        min_quality=limits.min_quality,
        by_tenant=as_mapping(limits.min_quality_by_tenant),
        by_class=as_mapping(limits.min_quality_by_class),
        max_share=share,
        usd_per_request=limits.usd_per_request,
        j_per_request=limits.j_per_request,
        patience_s=made.patience_s,
        skip_cost=made.skip_cost,
    )
    names = [endpoint.name for endpoint in endpoints]
    if limits.confidence is None:
        return ConstrainedAssign(names, terms)
    calibration = _calibration(config, endpoints, terms)
    sure, start = _raised(terms, calibration, limits.confidence, limits.over_requests)
    return ConstrainedAssign(names, sure, calibration.contrasts, start)


def _calibration(config: Config, endpoints: Sequence[Endpoint], terms: ConstrainedTerms) -> FloorCalibration:
    """From floors that are told to what is really reached, on the prompts that the fit held out."""
    profiles, predictor = predictor_of(config, RealClock())
    rows = held_out_of(config, predictor)
    busy = [endpoint.max_concurrent - 1 for endpoint in endpoints]
    table = priced(rows, profiles, np.full(len(rows.tasks), math.inf), busy)
    cost = (
        terms.per_usd * table.price_usd.value
        + terms.per_j * table.energy_j.value
        + terms.per_s * table.time_s.value
    )
    return FloorCalibration.fit(
        [endpoint.name for endpoint in endpoints], cost, rows.quality, rows.labels,
        tasks=rows.tasks, groups=rows.groups, folds=rows.folds,
    )  # fmt: skip


def _raised(
    terms: ConstrainedTerms, calibration: FloorCalibration, confidence: float, over_requests: int
) -> tuple[ConstrainedTerms, dict[str, float]]:
    """The terms with floors that hold with the confidence, and the prices at which forecasts reach them."""
    start: dict[str, float] = {}

    def raised(kind: str, group: str, asked: float) -> float:
        if not asked:
            return asked
        sure, name = calibration.assurance(asked, confidence, over_requests), floor_name(kind, group)
        if not sure.holds:
            raise ConfigError(
                f"{name}: {sure.words}", remedy="Ask for less, for less confidence, or over more requests"
            )
        start[name] = sure.price
        return sure.effective

    def each(kind: str, minimum: Mapping[str, float]) -> dict[str, float]:
        return {group: raised(kind, group, asked) for group, asked in minimum.items()}

    sure = replace(
        terms,
        min_quality=raised("all", "all", terms.min_quality),
        by_tenant=each("tenant", terms.by_tenant),
        by_class=each("class", terms.by_class),
    )
    overall = start.get(floor_name("all", "all"), 0.0)
    beside = {name: max(0.0, price - overall) for name, price in start.items()}
    return sure, beside | ({floor_name("all", "all"): overall} if overall else {})


def _check_objective(per_usd: float, total: float, endpoints: Sequence[Endpoint]) -> None:
    free = not any(each.usd_per_input_token or each.usd_per_output_token for each in endpoints)
    if free and endpoints and per_usd == total:
        raise ConfigError(
            "the policy 'constrained' minimises cost, but no endpoint has a price: there is nothing to choose by",
            remedy="Set `policy: {objective: energy}` or time, or declare prices in model_info",
        )


def _check_shares(share: Mapping[str, float], endpoints: Sequence[Endpoint], *, skips: bool) -> None:
    names = [endpoint.name for endpoint in endpoints]
    if unknown := [name for name in share if name not in names]:
        raise ConfigError(
            f"max_share_requests names {unknown[0]!r}, which is no endpoint",
            remedy=f"Name some of {', '.join(names)}",
        )
    total = math.fsum(share.get(name, math.inf) for name in names)
    if not skips and total < 1.0:
        raise ConfigError(
            f"the shares of max_share_requests come to {total:g}, so that some requests could go nowhere",
            remedy="Raise them to 1 or more, or leave one endpoint without",
        )
