"""Everything that runs requests in real time, wired together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.build.feedback import feedback_of
from pointsman.build.outside import engines_of, meters_of
from pointsman.build.policies import admit_policy_of, answer_policy_of, assign_policy_of, order_policy_of
from pointsman.build.predictions import predictor_of
from pointsman.build.source import endpoints_of
from pointsman.clock import Clock
from pointsman.config import Config
from pointsman.engines.fleet_model import FleetEndpoint
from pointsman.errors import ConfigError
from pointsman.hooks import Hooks
from pointsman.learn.drift import DriftLearner
from pointsman.live import LiveDriver
from pointsman.live.breaker import BreakerOptions
from pointsman.live.feedback import Feedback
from pointsman.live.metering import EnergyShares
from pointsman.meters.base import Meter
from pointsman.meters.share import EnergyShare
from pointsman.predict.endpoint import ProfilePredictor
from pointsman.scheduler import Scheduler, SchedulerOptions
from pointsman.store.decision_log import DecisionLog
from pointsman.types import Endpoint


@dataclass(frozen=True, slots=True)
class System:
    """Everything that runs requests in real time, over one configuration.

    Attributes:
        endpoints, names: in column order.
        predictor: the inner one, with profiles and provenance.
    """

    endpoints: tuple[Endpoint, ...]
    predictor: ProfilePredictor
    driver: LiveDriver
    meters: tuple[Meter, ...]
    log: DecisionLog | None
    feedback: Feedback | None

    @property
    def names(self) -> tuple[str, ...]:
        """Endpoint names in column order."""
        return tuple(endpoint.name for endpoint in self.endpoints)

    async def close(self) -> None:
        """End requests and grading, close engines, meters and the log."""
        await self.driver.close()
        if self.feedback is not None:
            await asyncio.to_thread(self.feedback.close)  # graders may take seconds
        for meter in self.meters:
            meter.close()
        if self.log is not None:
            self.log.close()


def build_system(
    config: Config,
    running: Sequence[FleetEndpoint],
    clock: Clock,
    hooks: Hooks | None = None,
    breaker: BreakerOptions | None = None,
) -> System:
    """Wire a configuration together; `running` are the started fleet's addresses, see `LiveDriver` for `breaker`.

    Raises: ConfigError, DataError, MissingError.
    """
    endpoints = endpoints_of(config)
    if not endpoints:
        raise ConfigError(
            f"{config.file} has no endpoint",
            remedy="Add one to model_list, or a model to pointsman.fleet.models",
        )
    inner, predictor = predictor_of(config, clock)
    scheduler = Scheduler(
        endpoints,
        admit_policy_of(config),
        assign_policy_of(config, endpoints),
        order_policy_of(config),
        inner.prior_row(),
        SchedulerOptions(max_queued=config.server.max_queue, max_put_off=config.admission.defer.max_waiting),
        hooks,
        answer_policy_of(config, endpoints),
    )
    meters = meters_of(config, running)
    by_meter = {id(meter): EnergyShare[str](meter) for meter in meters.values()}
    log = DecisionLog(config.log.path, store_prompts=config.log.store_prompts) if config.log.path else None
    feedback = feedback_of(config, log, predictor, clock)
    driver = LiveDriver(
        scheduler,
        predictor,
        DriftLearner(inner.endpoints, inner.profiles, inner.drift),
        engines_of(config, running),
        clock,
        log=log,
        shares=EnergyShares({name: by_meter[id(meter)] for name, meter in meters.items()}),
        feedback=feedback,
        breaker=breaker,
    )
    return System(endpoints, inner, driver, tuple(set(meters.values())), log, feedback)
