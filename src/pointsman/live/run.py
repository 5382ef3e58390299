"""One run of a request on an endpoint: the engine's chunks to the caller, its end to an event."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Final

from pointsman.engines.base import Chunk, Engine, Usage
from pointsman.errors import EngineGarbage, InternalError, PointsmanError, origin
from pointsman.events import Completed, Failed
from pointsman.live.handle import Handle
from pointsman.live.held import HeldAnswer
from pointsman.live.metering import Energy
from pointsman.types import Disposition, Endpoint, Outcome
from pointsman.units import price_usd

_log: Final = logging.getLogger(__name__)


STOPPED: Final = "its run was stopped from outside"


async def run_on_engine(handle: Handle, endpoint: Endpoint, engine: Engine, *, held: bool) -> Usage:
    """Give the engine's chunks to the caller, as fast as it takes them, or hold them back.

    Returns: what the endpoint reported. Raises: EngineError; cancelled, it closes the connection.
    """
    usage: Usage | None = None
    answer = HeldAnswer(handle.request, endpoint) if held else None
    async with aclosing(engine.run(answer.request if answer else handle.request)) as pieces:
        async for piece in pieces:
            if not isinstance(piece, Chunk):
                usage = piece
            elif answer:
                answer.add(piece)
            else:
                await handle.give(piece)
    if usage is None:
        raise EngineGarbage(
            f"the engine of endpoint {endpoint.name} gave no usage at its end", endpoint=endpoint.name
        )
    if answer:
        handle.held[endpoint.name] = answer
    return usage


def end_of_run(
    task: asyncio.Task[Usage], handle: Handle, endpoint: Endpoint, energy: Energy
) -> Completed | Failed:
    """What a run came to: by itself, by an error (kept at the handle), or because it was cancelled."""
    request_id = handle.request.id
    error = failure(task, endpoint.name, request_id)
    if not task.cancelled() and error is None:
        usage, answer = task.result(), handle.held.get(endpoint.name)
        signals = answer.signals(usage) if answer else None
        return Completed(request_id, answered(request_id, endpoint, usage, energy), signals)
    if error is not None:
        handle.error = error
    reason = error.message if error else handle.cancel_reason or STOPPED
    return Failed(request_id, failed(request_id, endpoint, reason, energy), handle.given)


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
