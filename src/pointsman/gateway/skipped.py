"""What a caller gets for a request that was skipped: an error with the numbers, or a fixed reply.

Never a silent empty answer: the error has the type `skipped`; the reply says so in its text, its `model`
and the header `x-pointsman-action`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from pointsman.gateway.refusals import Refusal
from pointsman.types import Api, Decision, Endpoint, Request

MODEL: Final = "pointsman-skip"
"""The `model` of a fixed reply: no model answered."""

STATUS: Final = 422
_CODE: Final = "skipped"
_PREDICTED: Final = (
    ("quality", "quality"),
    ("cost_usd", "price_usd"),
    ("time_s", "time_s"),
    ("energy_j", "energy_j"),
)
_NO_USAGE: Final = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class _Options(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    stream_options: _Options | None = None


class SkipError:
    """Makes the error of a skipped request.

    Args:
        endpoints: in column order.
        energy_modelled: see `DecisionHeaders`.
    """

    def __init__(self, endpoints: Sequence[Endpoint], energy_modelled: Mapping[str, bool]) -> None:
        self._models = {endpoint.name: endpoint.model for endpoint in endpoints}
        self._modelled = {name: energy_modelled.get(name, True) for name in self._models}

    def of(self, decision: Decision, reason: str) -> Refusal:
        """OpenAI's error object with what was weighed and what was predicted of each endpoint."""
        weighed = decision.valuation
        error: dict[str, Any] = {"message": f"skipped: {reason}", "type": _CODE, "param": None, "code": _CODE}
        error["judged_by"] = weighed and decision.table.endpoints[weighed.endpoint]
        error["quality"] = weighed and weighed.quality
        error["expected_run_cost"] = weighed and weighed.run_cost
        error["expected_skip_cost"] = weighed and weighed.skip_cost
        error["threshold"] = weighed and weighed.threshold
        error["predicted"] = {
            name: self._predictions(decision, column, name)
            for column, name in enumerate(decision.table.endpoints)
            if name not in decision.excluded
        }
        return Refusal(STATUS, msgspec.json.encode({"error": error}))

    def _predictions(self, decision: Decision, column: int, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"model": self._models[name]}
        for key, attribute in _PREDICTED:
            value = float(getattr(decision.table, attribute).value[decision.index, column])
            shown[key] = value if math.isfinite(value) else None
        return shown | {"energy_modelled": self._modelled[name]}


def can_reply(request: Request) -> bool:
    """Whether a fixed text may stand for an answer: not where the caller will parse it as JSON."""
    return request.needs.response_format == "text"


def reply(request: Request, text: str, created: int) -> bytes:
    """A whole answer that is the fixed text, or the events of a stream of it; `created` is Unix time, s."""
    chat = request.api is Api.CHAT
    prefix, kind = ("chatcmpl", "chat.completion") if chat else ("cmpl", "text_completion")
    common = {"id": f"{prefix}-{request.id}", "object": kind, "created": created, "model": MODEL}
    if not request.stream:
        said = (
            {"message": {"role": "assistant", "content": text, "refusal": None}} if chat else {"text": text}
        )
        return msgspec.json.encode({**common, "choices": _choices(request, said, "stop"), "usage": _NO_USAGE})
    if chat:
        common["object"] = "chat.completion.chunk"
        pieces: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": text}}, {"delta": {}}]
    else:
        pieces = [{"text": text}, {"text": ""}]
    events: list[dict[str, Any]] = [
        {**common, "choices": _choices(request, piece, finish)}
        for piece, finish in zip(pieces, (None, "stop"), strict=True)
    ]
    if _asks_usage(request):
        events.append({**common, "choices": [], "usage": _NO_USAGE})
    return (
        b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
    )


def _choices(request: Request, said: dict[str, Any], finish: str | None) -> list[dict[str, Any]]:
    return [
        {"index": index, **said, "logprobs": None, "finish_reason": finish}
        for index in range(request.needs.n)
    ]


def _asks_usage(request: Request) -> bool:
    """`request.payload` has been read at the edge, so it is a JSON object."""
    try:
        options = msgspec.json.decode(request.payload, type=_Body).stream_options
    except msgspec.ValidationError:
        return False  # an endpoint would have refused these options
    return options is not None and options.include_usage is True
