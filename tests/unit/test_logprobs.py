import json

import pytest

from pointsman.engines.base import Chunk, Usage
from pointsman.engines.logprobs import (
    event_without_logprobs,
    read_logprobs,
    with_logprobs,
    without_logprobs,
)
from pointsman.errors import EngineGarbage
from pointsman.live.held import MAX_HELD_BYTES, HeldAnswer
from pointsman.testing.fakes import make_endpoints, make_request
from pointsman.types import AnswerSignals, Api, Capabilities

CHAT = {"content": [{"token": " B", "logprob": -0.5, "top_logprobs": []}, {"token": ".", "logprob": -1.5}]}
LEGACY = {"tokens": ["x", "y"], "token_logprobs": [None, -2.0]}


def answer(logprobs, **fields):
    choices = [{"index": 0, "logprobs": logprobs, "message": {"content": 'say "logprobs"'}}]
    return json.dumps({"id": "x", "choices": choices, **fields}).encode()


def test_the_wish_is_added_in_each_interfaces_form():
    assert json.loads(with_logprobs(b'{"model":"m","odd":1.50}', Api.CHAT)) == {
        "model": "m", "odd": 1.5, "logprobs": True,
    }  # fmt: skip
    assert json.loads(with_logprobs(b'{"logprobs":null}', Api.COMPLETIONS)) == {"logprobs": 1}
    assert json.loads(with_logprobs(b'{"logprobs": false }', Api.CHAT)) == {"logprobs": True}


@pytest.mark.parametrize("body", [b'{"logprobs": true}', b'{"logprobs":0}', b"[1]", b"nonsense", b"\xff"])
def test_a_body_that_asks_itself_or_is_no_object_is_left_alone(body):
    assert with_logprobs(body, Api.CHAT) is None


def test_they_are_read_in_both_forms():
    assert read_logprobs(answer(CHAT)) == [(" B", -0.5), (".", -1.5)]
    assert read_logprobs(answer(LEGACY)) == [("y", -2.0)]


@pytest.mark.parametrize(
    "data",
    [
        answer(None),
        answer({}),
        answer("odd"),
        b'{"choices":[]}',
        b"[DONE]",
        b"",
        b'{"choices":[{"index":1}]}',
    ],
)
def test_an_answer_without_any_has_none(data):
    assert read_logprobs(data) == []


def test_they_are_taken_out_and_nothing_else():
    data = answer(CHAT, usage={"n": 1})
    left = json.loads(without_logprobs(data))
    whole = json.loads(data)
    del whole["choices"][0]["logprobs"]
    assert left == whole
    untouched = b'{ "choices" : [ {"message": {"content": "logprobs "}} ] }'
    assert without_logprobs(untouched) is untouched
    assert event_without_logprobs(b": ping\n\n") == b": ping\n\n"
    assert event_without_logprobs(b'data: {"choices":[{"logprobs":null,"index":0}]}\r\n\r\n') == (
        b'data: {"choices":[{"index":0}]}\n\n'
    )


def held(payload=b'{"messages":[]}', **fields):
    return HeldAnswer(make_request(payload=payload, **fields), make_endpoints(1)[0])


def test_the_signs_of_a_whole_answer():
    made = held()
    made.add(Chunk(answer(CHAT)))
    assert made.signals(Usage(output_tokens=7, finish_reason="length")) == AnswerSignals(
        chosen_logprob=-0.5, mean_logprob=-1.0, min_logprob=-1.5, output_tokens=7, finished=False
    )
    assert b"top_logprobs" not in made.release()[0].data


def test_the_signs_of_a_stream_are_over_all_its_chunks():
    made = held(stream=True)
    for logprob in (-1.0, -4.0):
        said = {"content": [{"token": "word", "logprob": logprob}]}
        made.add(
            Chunk(b"data: " + json.dumps({"choices": [{"index": 0, "logprobs": said}]}).encode() + b"\n\n")
        )
    made.add(Chunk(b"data: [DONE]\n\n"))
    assert made.signals(Usage(finish_reason="stop")) == AnswerSignals(None, -2.5, -4.0, 2, True)


def test_an_answer_without_log_probabilities_still_has_a_length_and_an_end():
    made = held()
    made.add(Chunk(answer(None)))
    assert made.signals(Usage(output_tokens=5, finish_reason="stop")) == AnswerSignals(
        output_tokens=5, finished=True
    )
    assert made.signals(Usage()) == AnswerSignals()


def test_an_endpoint_that_declares_none_is_not_asked():
    endpoint = make_endpoints(1, capabilities=Capabilities(logprobs=False))[0]
    request = make_request(payload=b'{"messages":[]}')
    assert HeldAnswer(request, endpoint).request is request
    odd = make_request(payload={"of": "another engine"})
    assert HeldAnswer(odd, make_endpoints(1)[0]).request is odd


def test_an_answer_that_is_too_long_to_be_kept_is_refused():
    made = held()
    made.add(Chunk(b"x" * MAX_HELD_BYTES))
    with pytest.raises(EngineGarbage, match="too long to be judged"):
        made.add(Chunk(b"x"))


@pytest.mark.parametrize(
    "event",
    [
        b': a comment on "logprobs"\n\n',
        b'data: {"choices":[{"index":0,"logprobs":null}],"\xff":1}\n\n',
        b'data: {"choices":{"logprobs":1}}\n\n',
    ],
)
def test_what_is_in_no_known_form_is_given_on_as_it_came(event):
    """It must not raise: the answer is released in the loop that all requests share."""
    assert event_without_logprobs(event) == event
