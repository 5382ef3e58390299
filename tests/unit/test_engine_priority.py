"""The order of our queue, as a server with a queue of its own is told of it: both signs, and what a caller says itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.engines.openai_http import OpenAIEngine
from pointsman.engines.priority import MOST, NOTHING, Telling, priority_of, told_of
from pointsman.errors import BadRequest
from pointsman.testing.upstream import Upstream
from pointsman.types import Prompt, Request, Turn

TURN = Turn(key=12.3456, waited_s=0.5, predicted_tokens=80.0)
NUMBERS = (Telling.LOWER_FIRST, Telling.HIGHER_FIRST)
KEYS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


async def sent(
    upstream: Upstream, telling: Telling | None, turn: Turn | None, **fields: object
) -> dict[str, object]:
    """What the server saw beside what every body has."""
    engine = OpenAIEngine("e0", upstream.base_url, "m", priority=telling)
    body = {"messages": [{"role": "user", "content": "a"}], **fields}
    request = Request("r", Prompt("a"), turn=turn, payload=json.dumps(body).encode())
    try:
        async with aclosing(engine.run(request)) as pieces:
            async for _ in pieces:
                pass
    finally:
        await engine.close()
    seen = dict(upstream.bodies[-1])
    del seen["messages"], seen["model"]
    return seen


@pytest.mark.parametrize(
    ("telling", "priority"), [(Telling.LOWER_FIRST, 12346), (Telling.HIGHER_FIRST, -12346)]
)
async def test_server_sees_the_keys_thousandths_in_its_sign(
    upstream: Upstream, telling: Telling, priority: int
) -> None:
    assert await sent(upstream, telling, TURN) == {"priority": priority}


async def test_vllm_scheduler_sees_predictions_beside_the_callers_own_arguments(upstream: Upstream) -> None:
    seen = await sent(upstream, Telling.VLLM_SCHEDULER, TURN, vllm_xargs={"own": 1})
    assert seen == {"vllm_xargs": {"own": 1, "pointsman_waited_s": 0.5, "pointsman_predicted_tokens": 80.0}}
    assert await sent(upstream, Telling.VLLM_SCHEDULER, Turn(1.0)) == {
        "vllm_xargs": {"pointsman_waited_s": 0.0}
    }


async def test_nothing_is_said_where_it_is_not_configured_or_no_queue_held_the_request(
    upstream: Upstream,
) -> None:
    assert await sent(upstream, None, TURN, priority=3) == {"priority": 3}
    assert await sent(upstream, Telling.LOWER_FIRST, None, priority=3) == {"priority": 3}
    assert told_of(TURN, None) is NOTHING


@pytest.mark.parametrize(
    ("telling", "fields", "param"),
    [
        (Telling.LOWER_FIRST, {"priority": 0}, "priority"),
        (Telling.HIGHER_FIRST, {"priority": -7}, "priority"),
        (Telling.VLLM_SCHEDULER, {"vllm_xargs": {"pointsman_waited_s": 9}}, "vllm_xargs.pointsman_waited_s"),
        (Telling.VLLM_SCHEDULER, {"vllm_xargs": [1]}, "vllm_xargs"),
    ],
)
async def test_a_callers_own_field_is_refused_before_anything_is_sent(
    upstream: Upstream, telling: Telling, fields: dict[str, object], param: str
) -> None:
    with pytest.raises(BadRequest, match=param.split(".", maxsplit=1)[0]) as caught:
        await sent(upstream, telling, TURN, **fields)
    assert caught.value.param == param
    assert not upstream.bodies


async def test_null_is_no_priority(upstream: Upstream) -> None:
    assert await sent(upstream, Telling.LOWER_FIRST, TURN, priority=None) == {"priority": 12346}


@given(st.lists(KEYS, min_size=2, max_size=20))
def test_numbers_keep_the_order_of_keys_in_either_sign(keys: list[float]) -> None:
    keys.sort()
    lower, higher = ([priority_of(key, telling) for key in keys] for telling in NUMBERS)
    assert lower == sorted(lower)
    assert higher == [-number for number in lower]
    assert all(abs(number) <= MOST for number in lower)


@given(st.floats(-1e9, 1e9), st.floats(0.001, 1e6))
def test_keys_a_thousandth_apart_differ(key: float, gap: float) -> None:
    assert priority_of(key + 1.01 * gap, Telling.LOWER_FIRST) > priority_of(key, Telling.LOWER_FIRST)
