"""Bodies that ask for further samples, the texts of answers, and which samples are asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.engines.base import Chunk, Usage
from pointsman.engines.samples import TEMPERATURE, read_text, sample_body
from pointsman.events import Completed
from pointsman.live.held import HeldAnswer
from pointsman.live.samples import Samples
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.types import AnswerSignals, Disposition, Outcome

(ENDPOINT,) = make_endpoints(1)


def asked(sample: int = 2, **fields: Any) -> Any:
    body = sample_body(json.dumps(fields).encode(), sample)
    assert body is not None
    return json.loads(body)


def test_a_caller_keeps_its_temperature_and_a_greedy_one_gets_ours():
    assert asked(temperature=0.2) == {"temperature": 0.2}
    for fields in ({}, {"temperature": 0}, {"temperature": None}, {"temperature": 0.0}):
        assert asked(**fields) == {"temperature": TEMPERATURE}


def test_each_sample_has_a_seed_of_its_own_where_there_is_one_and_one_choice():
    assert asked(1, seed=7, temperature=1)["seed"] == 8
    assert asked(2, seed=7, temperature=1)["seed"] == 9
    assert asked(seed=None, n=4, x={"kept": 1.5}) == {
        "seed": None, "temperature": TEMPERATURE, "x": {"kept": 1.5},
    }  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"temperature": }', b"\xff"])
def test_a_body_that_is_no_object_has_no_samples(body: bytes):
    assert sample_body(body, 1) is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"choices":[{"index":1,"text":"no"},{"index":0,"message":{"content":"yes"}}]}', "yes"),
        (b'{"choices":[{"delta":{"content":"ye"}}]}', "ye"),
        (b'{"choices":[{"text":"yes"}]}', "yes"),
        (b'{"choices":[{"message":{"content":null,"tool_calls":[]}}]}', ""),
        (b'{"choices":[]}', ""),
        (b"[DONE]", ""),
        (b'{"choices":[{"text":3}]}', ""),
    ],
)
def test_the_text_is_that_of_the_first_choice(data: bytes, text: str):
    assert read_text(data) == text


def held(text: str, *, stream: bool = False) -> HeldAnswer:
    made = HeldAnswer(make_request(stream=stream), ENDPOINT)
    if not stream:
        made.add(Chunk(json.dumps({"choices": [{"message": {"content": text}}]}).encode()))
        return made
    for word in (*text.split(" "), ""):
        piece = {"choices": [{"index": 0, "delta": {"content": word + " "}}]}
        made.add(Chunk(b"data: " + json.dumps(piece).encode() + b"\n\n"))
    made.add(Chunk(b"data: [DONE]\n\n"))
    return made


def samples(text: str, further: int, payload: Any = b"{}") -> Samples:
    request = make_request(text="How many are there?", payload=payload)
    first = Completed("r0", Outcome("r0", "e0", Disposition.ANSWERED), held(text).signals(Usage()))
    return Samples(first, held(text), request, further)


def ended(disposition: Disposition = Disposition.ANSWERED) -> Outcome:
    return Outcome("r0", "e0", disposition)


def test_the_text_of_a_stream_is_that_of_all_its_pieces():
    assert held("two one", stream=True).text().split() == ["two", "one"]


def test_samples_are_asked_for_one_after_another_until_there_are_enough():
    made = samples("seven: 7", 2, b'{"seed": 1}')
    for seed, text in ((2, "7"), (3, "8")):
        request = made.following()
        assert json.loads(request.payload)["seed"] == seed
        made.take(ended(), held(text))
    assert made.following() is None
    done = made.compared()
    assert (done.signals.agreement, len(done.samples)) == (0.5, 2)


def test_none_is_asked_for_after_one_that_failed():
    made = samples("7", 3)
    made.take(ended(), held("7"))
    made.take(ended(Disposition.FAILED), held(""))
    assert made.following() is None
    assert (made.compared().signals.agreement, len(made.compared().samples)) == (1.0, 2)


@pytest.mark.parametrize("payload", [None, {"not": "bytes"}, b"[]"])
def test_a_payload_that_can_not_be_read_is_sent_once(payload: Any):
    made = samples("7", 3, payload)
    assert made.following() is None
    assert made.compared().signals.agreement is None


def test_one_sample_is_no_comparison():
    made = samples("I don't know", 0)
    assert made.following() is None
    assert made.compared().signals == AnswerSignals()
