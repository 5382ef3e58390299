"""The policy `constrained` from its settings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pointsman.assign.constrained import ConstrainedAssign
from pointsman.assign.stream_terms import ConstrainedTerms
from pointsman.config import Config
from pointsman.config.stream_limits import as_mapping
from pointsman.errors import ConfigError
from pointsman.types import Endpoint


def constrained_of(config: Config, endpoints: Sequence[Endpoint]) -> ConstrainedAssign:
    """The policy over these endpoints. Raises: ConfigError for limits and an objective that don't fit them."""
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
    return ConstrainedAssign([endpoint.name for endpoint in endpoints], terms)


def _check_objective(per_usd: float, total: float, endpoints: Sequence[Endpoint]) -> None:
    free = not any(each.usd_per_input_token or each.usd_per_output_token for each in endpoints)
    if free and endpoints and per_usd == total:
        raise ConfigError(
            "the policy 'constrained' minimises cost, but no endpoint has a price: there is nothing to choose by",
            remedy="Set `policy: {objective: energy}` or time, or declare prices in model_info",
        )


def _check_shares(share: dict[str, float], endpoints: Sequence[Endpoint], *, skips: bool) -> None:
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
