"""One endpoint with a simulated engine behind the real scheduler: what an order of its queue comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pointsman.admit.always import AlwaysAdmit
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
    BoundedIteration,
    FcfsIteration,
    MlfqIteration,
    RankedIteration,
)
from pointsman.order.ranked import ShortestPredicted
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.sim.driver import SimOptions, simulate
from pointsman.sim.engine import EngineLimits, SimulatedEngine
from pointsman.sim.result import SimResult
from pointsman.sim.service import FixedService
from pointsman.sim.step_times import StepTimes
from pointsman.sim.workload import Workload, WorkloadPredictor
from pointsman.types import Endpoint, Weights

PLACES: Final = ("gateway", "engine", "both")
ORDERS: Final = ("fcfs", "sjf", "ranked", "ranked+preemption", "ranked+promotion", "bounded", "mlfq")
"""`sjf` is `ranked` by the true length: what foresight would bring."""

_ENGINE_ONLY: Final = ("ranked+preemption", "ranked+promotion", "mlfq")
_NAME: Final = "engine"


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


def gateway_order(name: str, settings: OrderSettings, times: StepTimes) -> OrderPolicy:
    """An order of the gateway's queue. Raises: BadRequest for one that only engines can run."""
    match name:
        case "fcfs":
            return FirstComeFirstServed()
        case "ranked" | "sjf":
            return ShortestPredicted()
        case "bounded":
            return BoundedOrder(settings.stretch, settings.cap_tokens * token_s(times))
    raise BadRequest(
        f"the order {name!r} can't be placed in the gateway's queue: it preempts what runs",
        remedy="Place it in the engine",
    )


def engine_order(name: str, settings: OrderSettings, times: StepTimes) -> IterationOrder:
    """An order inside an engine. Raises: BadRequest for an unknown name."""
    match name:
        case "fcfs":
            return FcfsIteration()
        case "ranked" | "sjf":
            return RankedIteration()
        case "ranked+preemption":
            return RankedIteration(preempts=True)
        case "ranked+promotion":
            return RankedIteration(
                threshold_steps=settings.threshold_steps, quantum_steps=settings.quantum_steps
            )
        case "bounded":
            return BoundedIteration(settings.stretch * token_s(times), settings.cap_tokens)
        case "mlfq":
            return MlfqIteration(settings.quantum_tokens)
    raise BadRequest(f"there is no order {name!r}", remedy=f"Choose among {', '.join(ORDERS)}")


def token_s(times: StepTimes) -> float:
    """Seconds a token of an answer that has the engine for itself."""
    return times.base_s + times.sequence_s


@dataclass(frozen=True, slots=True)
class Serving:
    """An engine, and how requests get to it.

    Attributes:
        place: where the order is: "gateway", "engine" or "both".
        lead: requests that the gateway sends beyond the engine's slots, to wait inside; of an order in the engine
            alone the gateway sends all.
    """

    times: StepTimes
    limits: EngineLimits
    order: str = "fcfs"
    place: str = "engine"
    lead: int = 0
    settings: OrderSettings = OrderSettings()


def serve(workload: Workload, serving: Serving, *, seed: int = 0) -> SimResult:
    """Simulate a workload on one engine behind the scheduler. Raises: BadRequest."""
    if serving.place not in PLACES:
        raise BadRequest(
            f"an order can't be placed in {serving.place!r}", remedy=f"Choose {', '.join(PLACES)}"
        )
    if serving.order == "sjf":
        workload = workload.foreseen()
    settings, times = serving.settings, serving.times
    inside = engine_order("fcfs" if serving.place == "gateway" else serving.order, settings, times)
    outside = gateway_order("fcfs" if serving.place == "engine" else serving.order, settings, times)
    sent = len(workload) if serving.place == "engine" else serving.limits.slots + serving.lead
    endpoint = Endpoint(_NAME, _NAME, max_concurrent=sent)
    predictor = WorkloadPredictor(workload, [endpoint], [times])
    scheduler = Scheduler(
        [endpoint],
        AlwaysAdmit(),
        WeightedAssign(Weights(time=1)),
        outside,
        predictor.prior_row(),
        SchedulerOptions(max_queued=len(workload)),
    )
    engine = SimulatedEngine(times, serving.limits, inside, workload.lengths)
    return simulate(
        scheduler,
        predictor,
        None,
        workload.arrivals(),
        FixedService(lambda _: 0.0),
        VirtualClock(),
        engines={_NAME: engine},
        options=SimOptions(seed=seed),
    )
