"""The three policies by their names, plugins included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.build.plugins import plugin
from pointsman.build.source import endpoints_of
from pointsman.config import Config
from pointsman.decide import Decider
from pointsman.errors import ConfigError
from pointsman.order.base import OrderPolicy
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.types import Endpoint


def assign_policy_of(config: Config, endpoints: Sequence[Endpoint]) -> AssignPolicy:
    """The configured choice of endpoints. Raises: ConfigError."""
    made = config.policy
    match made.name:
        case "weighted":
            return WeightedAssign(made.weights)
        case "random":
            return RandomAssign(made.seed)
        case "cheapest":
            return CheapestAssign()
        case "single":
            named = [endpoint.name for endpoint in endpoints if made.model in (endpoint.name, endpoint.model)]
            if not named:
                raise ConfigError(
                    f"the policy 'single' names {made.model!r}, which no endpoint serves",
                    remedy=f"Name one of {', '.join(endpoint.name for endpoint in endpoints)}",
                )
            return SingleAssign(named[0])
    return cast(AssignPolicy, plugin("assign", made.name)(made, endpoints))


def admit_policy_of(config: Config) -> AdmitPolicy:
    """The configured admission. Raises: ConfigError."""
    made = config.admission
    if made.name == AlwaysAdmit.name:
        return AlwaysAdmit()
    return cast(AdmitPolicy, plugin("admit", made.name)(made))


def order_policy_of(config: Config) -> OrderPolicy:
    """The configured order of queues. Raises: ConfigError."""
    made = config.order
    if made.name == FirstComeFirstServed.name:
        return FirstComeFirstServed()
    return cast(OrderPolicy, plugin("order", made.name)(made))


def decider_of(config: Config) -> Decider:
    """Whether and where, without queues. Raises: ConfigError."""
    endpoints = endpoints_of(config)
    return Decider(
        endpoints,
        admit_policy_of(config),
        assign_policy_of(config, endpoints),
        max_queued=config.server.max_queue,
    )
