"""Endpoints with simulated engines behind the real scheduler: what an order of their queues comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pointsman.admit.always import AlwaysAdmit
from pointsman.admit.base import AdmitPolicy
from pointsman.assign.base import AssignPolicy
from pointsman.assign.weighted import WeightedAssign
from pointsman.clock import VirtualClock
from pointsman.errors import BadRequest
from pointsman.order.base import OrderPolicy
from pointsman.order.bounded import BoundedOrder
from pointsman.order.fcfs import FirstComeFirstServed
from pointsman.order.iteration import IterationOrder
from pointsman.order.iteration_orders import (
    QUANTUM_STEPS,
    THRESHOLD_STEPS,
    IterationSettings,
    iteration_order,
)
from pointsman.order.ranked import ShortestPredicted
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.engine import SimulatedEngine
from pointsman.sim.engine_request import EngineLimits
from pointsman.sim.result import SimResult
from pointsman.sim.service import FixedService
from pointsman.sim.step_times import StepTimes
from pointsman.sim.workload import Workload, WorkloadPredictor
from pointsman.types import Endpoint, Weights

PLACES: Final = ("gateway", "engine", "both")
ORDERS: Final = ("fcfs", "sjf", "ranked", "ranked+preemption", "ranked+promotion", "bounded", "mlfq")
"""`sjf` is `ranked` by the true length: what foresight would bring."""

_ENGINE_ONLY: Final = ("ranked+preemption", "ranked+promotion", "mlfq")


@dataclass(frozen=True, slots=True)
class OrderSettings:
    """Settings of orders.

    Attributes:
        stretch, cap_tokens: of `bounded`: seconds of turn given up for each predicted second, and the most predicted
            tokens that count.
        threshold_steps, quantum_steps: of `ranked+promotion`; quantum_tokens: of `mlfq`, its first level's.
    """

    stretch: float = 10.0
    cap_tokens: float = 4096.0
    threshold_steps: int = THRESHOLD_STEPS
    quantum_steps: int = QUANTUM_STEPS
    quantum_tokens: int = 32


def gateway_order(name: str, settings: OrderSettings, token_s: float) -> OrderPolicy:
    """An order of the gateway's queues; `token_s` is what a token takes alone.

    Raises: BadRequest for one that only engines can run, or an unknown name.
    """
    match name:
        case "fcfs":
            return FirstComeFirstServed()
        case "ranked" | "sjf":
            return ShortestPredicted()
        case "bounded":
            return BoundedOrder(settings.stretch, settings.cap_tokens * token_s)
    if name in _ENGINE_ONLY:
        raise BadRequest(
            f"the order {name!r} can't be placed in the gateway's queue: it preempts what runs",
            remedy="Place it in the engine",
        )
    raise _unknown(name)


def engine_order(name: str, settings: OrderSettings, token_s: float) -> IterationOrder:
    """An order inside an engine; `token_s` is what a token takes alone. Raises: BadRequest for an unknown name."""
    if name not in ORDERS:
        raise _unknown(name)
    inside = IterationSettings(
        settings.stretch * token_s,
        settings.cap_tokens,
        settings.threshold_steps,
        settings.quantum_steps,
        settings.quantum_tokens,
    )
    return iteration_order("ranked" if name == "sjf" else name, inside)


def _unknown(name: str) -> BadRequest:
    return BadRequest(f"there is no order {name!r}", remedy=f"Choose among {', '.join(ORDERS)}")


@dataclass(frozen=True, slots=True)
class Site:
    """An endpoint and its engine; the endpoint's own `max_concurrent` does not count, the engine's slots do."""

    endpoint: Endpoint
    times: StepTimes
    limits: EngineLimits

    @property
    def token_s(self) -> float:
        """Seconds a token of an answer that has the engine for itself."""
        return self.times.base_s + self.times.sequence_s


@dataclass(frozen=True, slots=True)
class Serving:
    """How requests get to the engines.

    Attributes:
        place: where the order is: "gateway", "engine" or "both".
        lead: requests that the gateway sends beyond an engine's slots, to wait inside; where the order is in the engine
            alone, the gateway sends all.
    """

    order: str = "fcfs"
    place: str = "engine"
    lead: int = 0
    settings: OrderSettings = OrderSettings()

    def check(self) -> None:
        """Raises: BadRequest for an unknown order or place, or an order that can't be placed there."""
        if self.place not in PLACES:
            raise BadRequest(
                f"an order can't be placed in {self.place!r}", remedy=f"Choose {', '.join(PLACES)}"
            )
        engine_order(self.order, self.settings, 1.0)
        if self.place != "engine":
            gateway_order(self.order, self.settings, 1.0)


def serve(
    workload: Workload,
    sites: Sequence[Site],
    serving: Serving,
    *,
    admit: AdmitPolicy | None = None,
    assign: AssignPolicy | None = None,
    seed: int = 0,
) -> SimResult:
    """Simulate a workload on engines behind the scheduler.

    Args:
        workload: what comes; the order `sjf` sees it as it really is.
        sites: at least one.
        serving: the order and its place.
        admit: None lets every request run.
        assign: None chooses where a request would take least time.
        seed: of what the driver draws.

    Raises: BadRequest.
    """
    serving.check()
    if serving.order == "sjf":
        workload = workload.foreseen()
    inside = "fcfs" if serving.place == "gateway" else serving.order
    outside = "fcfs" if serving.place == "engine" else serving.order
    endpoints = [replace(site.endpoint, max_concurrent=_sent(site, workload, serving)) for site in sites]
    predictor = WorkloadPredictor(workload, endpoints, [site.times for site in sites])
    settings = serving.settings
    scheduler = Scheduler(
        endpoints,
        admit or AlwaysAdmit(),
        assign or WeightedAssign(Weights(time=1)),
        gateway_order(outside, settings, max(site.token_s for site in sites)),
        predictor.prior_row(),
        SchedulerOptions(max_queued=len(workload)),
    )
    engines = {
        site.endpoint.name: SimulatedEngine(
            site.times, site.limits, engine_order(inside, settings, site.token_s), workload.lengths
        )
        for site in sites
    }
    return simulate(
        scheduler,
        predictor,
        None,
        workload.arrivals(),
        FixedService(lambda _: 0.0),
        VirtualClock(),
        engines=engines,
        options=SimOptions(seed=seed),
    )


def _sent(site: Site, workload: Workload, serving: Serving) -> int:
    """How many requests the gateway has outstanding on an engine at most."""
    return len(workload) if serving.place == "engine" else site.limits.slots + serving.lead
