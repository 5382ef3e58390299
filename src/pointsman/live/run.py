"""One run of a request on an endpoint: the engine's chunks to the caller, its end to an `Outcome`."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import Final

from pointsman.engines.base import Chunk, Engine, Usage
from pointsman.errors import EngineGarbage, InternalError, PointsmanError, origin
from pointsman.live.handle import Handle
from pointsman.live.metering import Energy
from pointsman.types import Disposition, Endpoint, Outcome
from pointsman.units import price_usd

_log: Final = logging.getLogger(__name__)


async def run_on_engine(handle: Handle, endpoint: str, engine: Engine) -> Usage:
    """Give the engine's chunks to the caller, as fast as it takes them.

    Returns: what the endpoint reported. Raises: EngineError; cancelled, it closes the connection.
    """
    usage: Usage | None = None
    async with aclosing(engine.run(handle.request)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Chunk):
                await handle.give(piece)
            else:
                usage = piece
    if usage is None:
        raise EngineGarbage(f"the engine of endpoint {endpoint} gave no usage at its end", endpoint=endpoint)
    return usage


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
