"""Bodies and headers become requests; whatever can't be used is refused in OpenAI's shape, never a 500."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import BadRequest, EngineRejected, PointsmanError
from pointsman.gateway.headers import header_value
from pointsman.gateway.options import request_id_of
from pointsman.gateway.parse import Edge, parse_request
from pointsman.gateway.refusals import refusal_of_error
from pointsman.types import AUTO, Api, Limits, Modality, Needs, Request, Router, Slo, Weights

EDGE = Edge(
    ("small", "large"),
    {"default": Slo(), "priority": Slo("priority", ttft_s=0.5), "night": Slo("night")},
    frozenset({"default", "lab"}),
)
USER = {"role": "user", "content": "Hello"}


def parse(body: Any, headers: dict[str, str] | None = None, api: Api = Api.CHAT) -> Request:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = {name.encode(): value.encode("latin-1") for name, value in (headers or {}).items()}
    return parse_request(data, raw, api, "r0", EDGE)


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "auto", "messages": [USER], **fields}


def test_a_plain_chat():
    request = parse(chat())
    assert (request.id, request.model, request.api, request.stream) == ("r0", AUTO, Api.CHAT, False)
    assert request.prompt.text == "Hello"
    assert request.prompt.total_bytes == 5
    assert request.needs == Needs()
    assert (request.weights, request.tenant, request.session, request.slo) == (None, "default", None, Slo())
    assert request.payload == json.dumps(chat()).encode()


def test_what_predictors_see_of_a_long_chat():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]},
        {"role": "tool", "content": "42"},
        {"role": "developer", "content": "In French."},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "now?"}]},
        {"role": "assistant", "content": "Well"},
    ]
    prompt = parse(chat(messages=messages)).prompt
    assert prompt.text == "And\nnow?"
    assert prompt.system == "Be brief.\nIn French."
    assert prompt.history_turns == 3
    assert prompt.history_bytes == len("Grüße".encode()) + 2
    said = len("Be brief.In French.And\nnow?Well") + prompt.history_bytes
    assert prompt.total_bytes == said + len('{"id": "x"}')


@pytest.mark.parametrize(
    ("fields", "needs"),
    [
        ({"tools": [{"type": "function"}]}, Needs(tools=True)),
        ({"functions": [{"name": "f"}]}, Needs(tools=True)),
        ({"tools": []}, Needs()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {}}},
            Needs(response_format="json_schema"),
        ),
        ({"logprobs": True}, Needs(logprobs=True)),
        ({"logprobs": False}, Needs()),
        ({"n": 3}, Needs(n=3)),
        ({"modalities": ["text", "audio"]}, Needs(modalities=frozenset({Modality.TEXT, Modality.AUDIO}))),
        ({"pointsman": {"privacy": ["eu", "eu"]}}, Needs(privacy=frozenset({"eu"}))),
    ],
)
def test_needs(fields, needs):
    assert parse(chat(**fields)).needs == needs


def test_images_and_sound_are_needs_and_no_text():
    parts = [
        {"type": "image_url", "image_url": {"url": "data:" + "x" * 1000}},
        {"type": "input_audio", "input_audio": {}},
    ]
    request = parse(chat(messages=[{"role": "user", "content": parts}]))
    assert request.needs.modalities == frozenset(Modality)
    assert request.prompt.total_bytes == 0


def test_completions():
    body = {"model": "small", "prompt": "Once", "max_tokens": 5, "logprobs": 0, "stream": True}
    request = parse(body, api=Api.COMPLETIONS)
    assert (request.prompt.text, request.max_tokens, request.model, request.stream) == (
        "Once",
        5,
        "small",
        True,
    )
    assert request.needs == Needs(logprobs=True)
    several = parse({"prompt": ["a", "b"], "n": 2}, api=Api.COMPLETIONS)
    assert (several.needs.n, several.model) == (4, AUTO)


def test_max_completion_tokens_wins():
    assert parse(chat(max_tokens=5, max_completion_tokens=7)).max_tokens == 7


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"", "invalid_json", None),
        (b"{", "invalid_json", None),
        (b'{"messages": NaN}', "invalid_json", None),
        (b'{"messages": []} trailing', "invalid_json", None),
        (b'{"x": "\xff"}', "invalid_encoding", None),
        ('{"messages": [{"role": "user", "content": "Grüße"}]}'.encode("latin-1"), "invalid_encoding", None),
        ('{"messages": []}'.encode("utf-16"), "invalid_encoding", None),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json", None),
        (b'{"tools":[' + b"[" * 100_000, "invalid_json", None),
        (b"[]", "invalid_type", None),
        ({"messages": "Hello"}, "invalid_type", "messages"),
        ({"messages": [{"content": "Hello"}]}, "invalid_type", "messages[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "invalid_type", "messages[0].content"),
        ({"model": "auto"}, "invalid_value", "messages"),
        ({"messages": []}, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "invalid_value", "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "invalid_value", "messages"),
        (chat(max_tokens=-1), "invalid_value", "max_tokens"),
        (chat(max_tokens=0), "invalid_value", "max_tokens"),
        (chat(max_tokens=10**12), "invalid_value", "max_tokens"),
        (chat(max_tokens=10**30), "invalid_value", "max_tokens"),
        (chat(max_tokens=1e12), "invalid_type", "max_tokens"),
        (chat(max_tokens="5"), "invalid_type", "max_tokens"),
        (chat(max_tokens=True), "invalid_type", "max_tokens"),
        (chat(max_completion_tokens=0), "invalid_value", "max_completion_tokens"),
        (chat(n=0), "invalid_value", "n"),
        (chat(n=1000), "invalid_value", "n"),
        (chat(stream="yes"), "invalid_type", "stream"),
        (chat(response_format="json"), "invalid_type", "response_format"),
        (chat(model="huge"), "model_not_found", "model"),
        (chat(model=""), "model_not_found", "model"),
        (chat(model=7), "invalid_type", "model"),
        (chat(service_tier="gold"), "invalid_value", "service_tier"),
        (chat(metadata={"a": 1}), "invalid_type", "metadata[...]"),
        (chat(pointsman={"weigths": {}}), "invalid_type", "pointsman"),
        (chat(pointsman={"weights": {"accuracy": "high"}}), "invalid_type", "pointsman.weights[...]"),
        (chat(pointsman={"weights": {"speed": 1}}), "invalid_value", "weights"),
        (chat(pointsman={"weights": {"accuracy": -1}}), "invalid_value", "weights"),
        (chat(pointsman={"weights": {"accuracy": 0, "time": 0}}), "invalid_value", "weights"),
        (chat(pointsman={"weights": {}}), "invalid_value", "weights"),
        (
            b'{"messages":[{"role":"user","content":"x"}],"pointsman":{"weights":{"time":1e999}}}',
            "invalid_type",
            "pointsman.weights[...]",
        ),
        (chat(pointsman={"tenant": "stranger"}), "invalid_value", "tenant"),
    ],
)
def test_a_bad_body_is_refused_with_the_field_at_fault(body, code, param):
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert (caught.value.code, caught.value.param) == (code, param)
    refusal = refusal_of_error(caught.value)
    assert refusal.status == (404 if code == "model_not_found" else 400)
    error = json.loads(refusal.body)["error"]
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == (code, param)
    assert len(error["message"]) > 10


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        (None, "invalid_value"),
        ("", "invalid_value"),
        ([], "invalid_value"),
        ([""], "invalid_value"),
        ([1, 2], "invalid_type"),
        (5, "invalid_type"),
    ],
)
def test_a_bad_completion_prompt_is_refused(prompt, code):
    with pytest.raises(BadRequest) as caught:
        parse({"prompt": prompt}, api=Api.COMPLETIONS)
    assert caught.value.code == code


def test_an_unknown_model_is_told_which_there_are():
    with pytest.raises(BadRequest, match="There are auto, small, large"):
        parse(chat(model="huge"))


# What is asked of Pointsman itself


def test_weights_from_the_field_which_is_not_sent_on():
    request = parse(chat(pointsman={"weights": {"accuracy": 7, "time": 3}, "tenant": "lab"}, seed=1))
    assert request.weights == Weights(accuracy=7, time=3)
    assert request.tenant == "lab"
    assert json.loads(request.payload) == chat(seed=1)


@pytest.mark.parametrize(
    ("fields", "headers", "task"),
    [
        ({}, {}, ""),
        ({"metadata": {"pointsman_task": "law"}}, {}, "law"),
        ({"metadata": {"pointsman_task": "law"}, "pointsman": {"task": "virology"}}, {}, "virology"),
        ({"pointsman": {"task": "virology"}}, {"x-pointsman-task": "logic"}, "logic"),
        ({"pointsman": {"task": "x" * 1000}}, {}, "x" * 128),
    ],
)
def test_a_task_is_a_hint_for_predictors(fields, headers, task):
    assert parse(chat(**fields), headers).prompt.task == task


def test_weights_from_metadata_and_the_header_wins():
    body = chat(metadata={"pointsman_weights": "energy=1", "pointsman_tenant": "lab"})
    assert parse(body).weights == Weights(energy=1.0)
    assert parse(body).tenant == "lab"
    request = parse(
        body, {"x-pointsman-weights": " Accuracy = 0.7, energy=0.2,time=0.1", "x-pointsman-tenant": "default"}
    )
    assert request.weights == Weights(accuracy=0.7, energy=0.2, time=0.1)
    assert request.tenant == "default"


@pytest.mark.parametrize(
    "text",
    ["accuracy=nan", "accuracy=inf", "accuracy=-1", "accuracy", "=", ",", "speed=1", "accuracy=0", "time=ä"],
)
def test_weights_in_a_header_that_can_not_be_used(text):
    with pytest.raises(BadRequest) as caught:
        parse(chat(), {"x-pointsman-weights": text})
    assert caught.value.param == "weights"


@pytest.mark.parametrize(
    ("tier", "service_class"),
    [
        (None, "default"),
        ("auto", "default"),
        ("default", "default"),
        ("flex", "default"),
        ("priority", "priority"),
        ("night", "night"),
    ],
)
def test_service_tiers_become_classes(tier, service_class):
    assert parse(chat(service_tier=tier)).slo == EDGE.service_classes[service_class]


def test_deadlines_from_headers():
    slo = parse(chat(), {"x-llm-d-slo-ttft-ms": "250", "x-llm-d-slo-tpot-ms": "20.5"}).slo
    assert slo == Slo("default", ttft_s=0.25, tpot_s=0.0205)
    for bad in ("0", "-1", "nan", "soon"):
        with pytest.raises(BadRequest):
            parse(chat(), {"x-llm-d-slo-ttft-ms": bad})


def test_privacy_and_session_from_headers():
    request = parse(chat(), {"x-pointsman-privacy": "eu, on-premises,", "x-session-id": "s1"})
    assert request.needs.privacy == {"eu", "on-premises"}
    assert request.session == "s1"


def test_request_ids_are_honoured_unless_alive_or_unusable():
    assert request_id_of({b"x-request-id": b"mine"}, lambda _: False) == "mine"
    fresh = request_id_of({b"x-request-id": b"mine"}, lambda name: name == "mine")
    assert fresh.startswith("mine-")
    for bad in (b"", b"x" * 200, b"a\nb", "ü".encode()):
        assert len(request_id_of({b"x-request-id": bad}, lambda _: False)) == 32


# Never a 500

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "model",
    "messages",
    "prompt",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream",
    "logprobs",
    "tools",
    "functions",
    "modalities",
    "response_format",
    "service_tier",
    "metadata",
    "pointsman",
    "stream_options",
]
near_misses = st.dictionaries(
    st.sampled_from(FIELDS),
    json_values
    | st.just([USER])
    | st.lists(st.fixed_dictionaries({"role": st.text(max_size=6), "content": json_values}), max_size=3),
)
header_names = st.sampled_from(
    [
        b"x-request-id",
        b"x-pointsman-weights",
        b"x-pointsman-min-quality",
        b"x-pointsman-max-price-usd",
        b"x-pointsman-max-energy-j",
        b"x-pointsman-tenant",
        b"x-pointsman-task",
        b"x-pointsman-privacy",
        b"x-llm-d-slo-ttft-ms",
        b"x-session-id",
    ]
)


@given(
    st.binary(max_size=200) | near_misses.map(msgspec.json.encode),
    st.dictionaries(header_names, st.binary(max_size=30)),
    st.sampled_from(Api),
)
def test_arbitrary_bytes_give_a_request_or_a_4xx(data, headers, api):
    try:
        request = parse_request(data, headers, api, "r0", EDGE)
    except PointsmanError as error:
        refusal = refusal_of_error(error)
        assert 400 <= refusal.status < 500
        assert set(json.loads(refusal.body)["error"]) == {"message", "type", "param", "code"}
    else:
        assert request.prompt.total_bytes >= len(request.prompt.text.encode())
        assert request.needs.n >= 1
        assert request.weights is None or math.isfinite(sum(request.weights.as_tuple()))
        assert request.limits is None or request.limits != Limits()
        assert "pointsman" not in msgspec.json.decode(request.payload, type=dict[str, msgspec.Raw])


@given(st.text())
def test_a_header_is_one_line_of_latin_1(text):
    value = header_value(text)
    assert value.decode("latin-1").isprintable()
    assert b"\r" not in value
    assert b"\n" not in value


@pytest.mark.parametrize(
    ("status", "body", "answered"),
    [
        (400, b'{"error": {"message": "too long"}}', 400),
        (404, b"not found", 404),
        (429, b'{"error": {}}', 429),
        (401, b'{"error": {"message": "bad key sk-123"}}', 502),
        (403, b"", 502),
        (500, b'{"error": {}}', 502),
        (302, b"", 502),
        (200, b"", 502),
    ],
)
def test_what_becomes_of_an_upstreams_status(status, body, answered):
    error = EngineRejected(
        "endpoint e0 answered", endpoint="e0", status=status, body=body, retry_after="3\r\nx: y"
    )
    refusal = refusal_of_error(error)
    assert refusal.status == answered
    said = json.loads(refusal.body)["error"]
    assert "sk-" not in str(said)
    if answered == status == 400:
        assert refusal.body == body
    assert b"\n" not in (refusal.retry_after or b"")


@pytest.mark.parametrize(
    ("name", "router"),
    [
        ("router-floor-0.7", Router("floor", 0.7)),
        ("router-threshold-0", Router("threshold", 0.0)),
        ("router-random-1", Router("random", 1.0)),
        ("router-threshold-1e-2", Router("threshold", 0.01)),
    ],
)
def test_a_model_name_may_choose_a_policy(name, router):
    request = parse(chat(model=name))
    assert (request.model, request.router) == (AUTO, router)


def test_a_real_model_may_have_a_name_like_a_policys():
    edge = Edge(("router-floor-0.5",))
    assert edge.read_model("router-floor-0.5") == ("router-floor-0.5", None)


@pytest.mark.parametrize("threshold", ["", "x", "1.01", "-0.1", "nan", "inf", "0_5", "0.5-0.6", "\u0663"])
def test_a_threshold_that_is_no_number_from_0_to_1_is_refused(threshold):
    with pytest.raises(BadRequest, match="with a number T from 0 to 1") as caught:
        parse(chat(model=f"router-floor-{threshold}"))
    assert (refusal_of_error(caught.value).status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("name", ["router-", "router-best-0.5", "Router-floor-0.5", "floor-0.5"])
def test_a_policy_that_is_not_known_is_told_what_there_is(name):
    with pytest.raises(BadRequest, match="router-floor-T, router-threshold-T") as caught:
        parse(chat(model=name))
    assert refusal_of_error(caught.value).status == 404


def test_allow_skip_may_be_said_in_three_places_the_nearest_wins():
    assert parse(chat()).allow_skip is None
    said = chat(metadata={"pointsman_allow_skip": "true"})
    assert parse(said).allow_skip is True
    said["pointsman"] = {"allow_skip": False}
    assert parse(said).allow_skip is False
    assert parse(said, {"x-pointsman-allow-skip": " True "}).allow_skip is True
    with pytest.raises(BadRequest, match="neither true nor false"):
        parse(chat(), {"x-pointsman-allow-skip": "1"})
    with pytest.raises(BadRequest, match="allow_skip"):
        parse(chat(pointsman={"allow_skip": "yes"}))


LIMIT_TEXTS = {"min_quality": "0.5", "max_price_usd": "0.5", "max_energy_j": "0.5"}
ALL_LIMITS = Limits(0.8, 0.01, 30.0)


@pytest.mark.parametrize(
    ("fields", "headers", "limits"),
    [
        ({}, {}, None),
        ({"metadata": {"other": "0.8"}, "pointsman": {"tenant": "lab"}}, {}, None),
        (
            {},
            {
                "x-pointsman-min-quality": "0.8",
                "x-pointsman-max-price-usd": " 1e-2",
                "x-pointsman-max-energy-j": "30",
            },
            ALL_LIMITS,
        ),
        ({"pointsman": {"min_quality": 0.8, "max_price_usd": 0.01, "max_energy_j": 30}}, {}, ALL_LIMITS),
        (
            {
                "metadata": {
                    "pointsman_min_quality": "0.8",
                    "pointsman_max_price_usd": "0.01",
                    "pointsman_max_energy_j": "30",
                }
            },
            {},
            ALL_LIMITS,
        ),
        ({"pointsman": {"min_quality": 0, "max_price_usd": 0}}, {}, Limits(0.0, 0.0)),
        ({"pointsman": {"min_quality": 1}}, {}, Limits(1.0)),
        ({"pointsman": {"max_energy_j": None}}, {}, None),
    ],
)
def test_limits_may_be_said_in_three_places(fields, headers, limits):
    assert parse(chat(**fields), headers).limits == limits


def test_the_nearest_place_wins_for_each_limit_by_itself():
    said = {f"pointsman_{name}": value for name, value in LIMIT_TEXTS.items()}
    own = {"max_price_usd": 0.02, "max_energy_j": 2}
    request = parse(chat(metadata=said, pointsman=own), {"x-pointsman-max-energy-j": "3"})
    assert request.limits == Limits(min_quality=0.5, max_price_usd=0.02, max_energy_j=3.0)


BAD_LIMITS = [
    *((name, text) for name in LIMIT_TEXTS for text in ("nan", "-1", "-0.001", "inf", "-inf", "", "high")),
    ("min_quality", "1.001"),
    ("min_quality", "80%"),
    ("max_price_usd", "$1"),
]


@pytest.mark.parametrize(("name", "text"), BAD_LIMITS)
def test_a_limit_that_can_t_be_used_is_refused_with_value_and_remedy(name, text):
    header = {f"x-pointsman-{name.replace('_', '-')}": text}
    for body, headers in ((chat(), header), (chat(metadata={f"pointsman_{name}": text}), {})):
        with pytest.raises(BadRequest) as caught:
            parse(body, headers)
        assert (caught.value.param, caught.value.code) == (name, "invalid_value")
        assert caught.value.message.startswith(f"{name} is ")
        assert text in caught.value.message
        assert caught.value.remedy.startswith("Give ")


@pytest.mark.parametrize("value", [-0.1, 1.5, 1e300])
def test_a_limit_of_the_field_is_checked_too(value):
    with pytest.raises(BadRequest, match=r"min_quality is .*Give a probability from 0 to 1") as caught:
        parse(chat(pointsman={"min_quality": value}))
    assert caught.value.param == "min_quality"


@pytest.mark.parametrize("value", ["0.8", True, [0.8], {}])
def test_a_limit_of_the_field_is_a_number(value):
    with pytest.raises(BadRequest) as caught:
        parse(chat(pointsman={"min_quality": value}))
    assert (caught.value.code, caught.value.param) == ("invalid_type", "pointsman.min_quality")
