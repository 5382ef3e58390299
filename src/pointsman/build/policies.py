"""The three policies by their names, plugins included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.answer import AnswerPolicy
from pointsman.admit.asked import AskedAdmit
from pointsman.admit.base import AdmitPolicy
from pointsman.admit.cascade import NAME as CASCADE
from pointsman.admit.cascade import CascadeAnswers
from pointsman.admit.put_off import Patience, PutOffAdmit
from pointsman.admit.random import RandomAdmit
from pointsman.admit.threshold import ThresholdAdmit
from pointsman.admit.value import ValueAdmit
from pointsman.assign.asked import AskedAssign
from pointsman.assign.base import AssignPolicy
from pointsman.assign.baselines import CheapestAssign, RandomAssign, SingleAssign
from pointsman.assign.first import FirstAssign
from pointsman.assign.floor import FloorAssign
from pointsman.assign.value import ValueAssign
from pointsman.assign.weighted import WeightedAssign
from pointsman.build.constrained import constrained_of
from pointsman.build.plugins import plugin
from pointsman.build.source import endpoints_of
from pointsman.config import Config, OrderConfig, PolicyConfig
from pointsman.config.stream_limits import as_mapping
from pointsman.decide import Decider
from pointsman.errors import ConfigError
from pointsman.order.base import OrderPolicy
from pointsman.order.bounded import BoundedOrder
from pointsman.order.deadline import DeadlineOrder
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.order.head_start import HeadStart
from pointsman.order.ranked import ShortestPredicted
from pointsman.predict.judge import AnswerJudge
from pointsman.types import Endpoint


def assign_policy_of(config: Config, endpoints: Sequence[Endpoint]) -> AssignPolicy:
    """The configured choice of endpoints, which a caller's model name may replace. Raises: ConfigError."""
    cascade = FirstAssign(*_cascade(config, endpoints)) if config.policy.endpoints else None
    return AskedAssign(_configured_assign(config, endpoints), cascade)


def answer_policy_of(config: Config, endpoints: Sequence[Endpoint]) -> AnswerPolicy | None:
    """The judge of answers: for all requests under the policy `cascade`, else for those that ask for it.

    None where no cascade is configured. Raises: ConfigError, DataError.
    """
    made = config.policy
    if made.judge is None:
        return None
    names, chain = _cascade(config, endpoints)
    judge = AnswerJudge.read(made.judge)
    if unknown := [name for name in chain[:-1] if name not in judge.endpoints]:
        raise ConfigError(
            f"the judge {made.judge} knows no answers of {', '.join(unknown)}",
            remedy=f"It knows {', '.join(judge.endpoints)}; make one with: pointsman judge",
        )
    if made.samples > 1 and not any(map(judge.heeds_agreement, chain[:-1])):
        raise ConfigError(
            f"`samples` is {made.samples}, but the judge {made.judge} heeds no agreement of samples",
            remedy=f"Make it with: pointsman judge --samples {made.samples}; or set samples: 1",
        )
    terms, always = config.costs.terms(), made.name == CASCADE
    return CascadeAnswers(names, chain, judge, terms, always=always, samples=made.samples)


def _cascade(config: Config, endpoints: Sequence[Endpoint]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All endpoints' names, and those of the cascade in its order. Raises: ConfigError."""
    chain: dict[str, None] = {}
    for said in config.policy.endpoints:
        found = [endpoint.name for endpoint in endpoints if said in (endpoint.name, endpoint.model)]
        if not found:
            raise ConfigError(
                f"the cascade names {said!r}, which no endpoint serves",
                remedy=f"Name some of {', '.join(endpoint.name for endpoint in endpoints)}",
            )
        chain.update(dict.fromkeys(found))
    return tuple(endpoint.name for endpoint in endpoints), tuple(chain)


def _configured_assign(config: Config, endpoints: Sequence[Endpoint]) -> AssignPolicy:
    made = config.policy
    match made.name:
        case "weighted":
            return WeightedAssign(made.weights)
        case "random":
            return RandomAssign(made.seed)
        case "cheapest":
            return CheapestAssign()
        case "constrained":
            return constrained_of(config, endpoints)
        case "value":
            return ValueAssign(config.costs.terms())
        case "cascade":
            return FirstAssign(*_cascade(config, endpoints))
        case "floor":
            assert made.threshold is not None  # the configuration is refused without one
            return FloorAssign(made.threshold)
        case _:
            single = made.name == SingleAssign.name
            made_by = _single if single else plugin("assign", made.name)
            return cast(AssignPolicy, made_by(made, endpoints))


def _single(made: PolicyConfig, endpoints: Sequence[Endpoint]) -> SingleAssign:
    """Raises: ConfigError where no endpoint serves the model."""
    named = [endpoint.name for endpoint in endpoints if made.model in (endpoint.name, endpoint.model)]
    if not named:
        raise ConfigError(
            f"the policy 'single' names {made.model!r}, which no endpoint serves",
            remedy=f"Name one of {', '.join(endpoint.name for endpoint in endpoints)}",
        )
    return SingleAssign(named[0])


def admit_policy_of(config: Config) -> AdmitPolicy:
    """The configured admission, which callers may replace for their requests. Raises: ConfigError.

    Where every request runs, those whose callers allow skipping are decided by value.
    """
    made = config.admission
    configured = _configured_admission(config)
    opted_in = ValueAdmit(config.costs.terms()) if made.name == AlwaysAdmit.name else configured
    asked = AskedAdmit(configured, opted_in)
    if made.on_skip != "defer":
        return asked
    patience = Patience(made.defer.retry_s, made.defer.max_defer_s, then_run=made.defer.then == "run")
    return PutOffAdmit(asked, patience)


def _configured_admission(config: Config) -> AdmitPolicy:
    made = config.admission
    match made.name:
        case "always":
            return AlwaysAdmit()
        case "value":
            return ValueAdmit(config.costs.terms())
        case "threshold":
            assert made.threshold is not None  # the configuration is refused without one
            return ThresholdAdmit(made.threshold)
        case "random":
            assert made.share is not None  # the configuration is refused without one
            return RandomAdmit(made.share, made.seed)
    return cast(AdmitPolicy, plugin("admit", made.name)(made))


def order_policy_of(config: Config) -> OrderPolicy:
    """The configured order of queues. Raises: ConfigError."""
    order = _configured_order(config.order)
    head_start_s = as_mapping(config.order.head_start_s)
    return HeadStart(order, head_start_s) if head_start_s else order


def _configured_order(made: OrderConfig) -> OrderPolicy:
    match made.name:
        case "fcfs":
            return FirstComeFirstServed()
        case "ranked":
            return ShortestPredicted()
        case "bounded":
            return BoundedOrder(made.stretch, made.cap_s)
        case "edf" | "slack":
            return DeadlineOrder(made.without_s, slack=made.name == "slack")
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
