"""One run of a request on an endpoint: the engine's chunks to the caller, its end to an event.

An answer that is held may be compared with further samples. They are asked for one after another, each in a
task of its own, in the slot that the request has: so the endpoint never has more outstanding than its slots,
and a sample that turns out not to be needed is not asked for. The first answer stands whatever becomes of
them: one that fails, or the caller's going, only ends the comparison.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from pointsman.clock import Clock
from pointsman.engines.base import Chunk, Engine, Usage
from pointsman.errors import EngineGarbage, InternalError, PointsmanError, origin
from pointsman.events import Completed, Failed
from pointsman.live.handle import Handle
from pointsman.live.held import HeldAnswer
from pointsman.live.metering import Energy
from pointsman.live.samples import Samples
from pointsman.types import Disposition, Endpoint, Outcome, Turn
from pointsman.units import price_usd

_log: Final = logging.getLogger(__name__)


STOPPED: Final = "its run was stopped from outside"


class Run:
    """A request on one endpoint, from its dispatch to the event that ends it.

    Each of its tasks runs `ask`; `ended` says what came of that, also where the task was cancelled before it began.

    Args:
        held, turn: see `Dispatch`.
    """

    def __init__(self, handle: Handle, endpoint: Endpoint, held: int, turn: Turn | None = None) -> None:
        self.handle, self.endpoint, self._held, self._turn = handle, endpoint, held, turn
        self._answer = HeldAnswer(handle.request, endpoint) if held else None
        self._samples: Samples | None = None

    async def ask(self, engine: Engine, clock: Clock) -> Usage:
        """Give the engine's chunks to the caller, as fast as it takes them, or hold them back.

        Returns: what the endpoint reported. Raises: EngineError; cancelled, it closes the connection.
        """
        handle, answer, usage = self.handle, self._answer, None
        if self._samples is None:
            handle.sent(clock.now())
        request = replace(answer.request if answer else handle.request, turn=self._turn)
        async with aclosing(engine.run(request)) as pieces:
            async for piece in pieces:
                if not isinstance(piece, Chunk):
                    usage = piece
                elif answer:
                    answer.add(piece)
                else:
                    await handle.give(piece)
        if usage is None:
            name = self.endpoint.name
            raise EngineGarbage(f"the engine of endpoint {name} gave no usage at its end", endpoint=name)
        return usage

    def ended(self, task: asyncio.Task[Usage], energy: Energy) -> Completed | Failed | None:
        """What the run came to; None if a further sample is to be asked for now."""
        outcome, error = self._outcome(task, energy)
        if self._samples is not None and self._answer is not None:
            self._samples.take(outcome, self._answer)
        elif outcome.disposition is Disposition.FAILED:
            self.handle.error = error or self.handle.error
            return Failed(outcome.request_id, outcome, self.handle.given)
        else:
            done = Completed(outcome.request_id, outcome)
            if self._answer is None:
                return done
            done = replace(done, signals=self._answer.signals(task.result()))
            self.handle.held[self.endpoint.name] = self._answer
            self._samples = Samples(done, self._answer, self.handle.request, self._held - 1)
        following = None if self.handle.cancel_reason else self._samples.following()
        if following is None:
            return self._samples.compared()
        self._answer = HeldAnswer(following, self.endpoint)
        return None

    def _outcome(self, task: asyncio.Task[Usage], energy: Energy) -> tuple[Outcome, PointsmanError | None]:
        """How a task ended: by itself, by an error, or because it was cancelled."""
        request_id = self.handle.request.id
        error = failure(task, self.endpoint.name, request_id)
        if error is None and not task.cancelled():
            return answered(request_id, self.endpoint, task.result(), energy), None
        reason = error.message if error else self.handle.cancel_reason or STOPPED
        return failed(request_id, self.endpoint, reason, energy), error


def failure(task: asyncio.Task[Usage], endpoint: str, request_id: str) -> PointsmanError | None:
    """Why a run did not end well; None if it did, or if it was cancelled."""
    if task.cancelled():
        return None
    error = task.exception()
    if error is None or isinstance(error, PointsmanError):
        return error
    _log.error("request %s: the engine of endpoint %s raised %s", request_id, endpoint, origin(error))
    return InternalError(f"the engine of endpoint {endpoint} failed unexpectedly: {type(error).__name__}")


def answered(request_id: str, endpoint: Endpoint, usage: Usage, energy: Energy) -> Outcome:
    """The outcome of a run that ended well."""
    return Outcome(
        request_id=request_id,
        endpoint=endpoint.name,
        disposition=Disposition.ANSWERED,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        ttft_s=usage.ttft_s,
        tpot_s=usage.tpot_s,
        e2e_s=usage.e2e_s,
        energy_j=energy.joules,
        energy_modelled=energy.modelled,
        meter=energy.meter,
        price_usd=_price_usd(endpoint, usage),
        finish_reason=usage.finish_reason,
    )


def failed(request_id: str, endpoint: Endpoint, reason: str, energy: Energy) -> Outcome:
    """The outcome of a run that failed or was stopped; the energy it took is spent all the same."""
    return Outcome(
        request_id=request_id,
        endpoint=endpoint.name,
        disposition=Disposition.FAILED,
        reason=reason,
        energy_j=energy.joules,
        energy_modelled=energy.modelled,
        meter=energy.meter,
    )


def _price_usd(endpoint: Endpoint, usage: Usage) -> float | None:
    if usage.input_tokens is None or usage.output_tokens is None:
        free = endpoint.usd_per_input_token == endpoint.usd_per_output_token == 0.0
        return 0.0 if free else None
    return price_usd(
        usage.input_tokens, usage.output_tokens, endpoint.usd_per_input_token, endpoint.usd_per_output_token
    )
