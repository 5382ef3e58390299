from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.assign.eligibility import Eligibility, refusal
from pointsman.testing import strategies as ours
from pointsman.testing.fakes import make_request, make_table
from pointsman.types import AUTO, EMPTY, Api, Capabilities, Endpoint, Modality, Needs

ABLE = Capabilities(
    context_tokens=1000,
    max_output_tokens=200,
    modalities=frozenset(Modality),
    max_n=4,
    privacy=frozenset({"eu", "on-premises"}),
)

# need -> (a request that has it, what an endpoint lacks, the sentence)
CASES = {
    "context": (
        {"max_tokens": 150},
        {"context_tokens": 200},
        "about 100 prompt tokens + max_tokens 150 exceed its context of 200",
    ),
    "max_tokens": (
        {"max_tokens": 150},
        {"max_output_tokens": 149},
        "max_tokens 150 exceeds its limit of 149",
    ),
    "modality": (
        {"needs": Needs(modalities=frozenset({Modality.TEXT, Modality.IMAGE, Modality.AUDIO}))},
        {"modalities": frozenset({Modality.TEXT})},
        "it does not read audio, image",
    ),
    "tools": ({"needs": Needs(tools=True)}, {"tools": False}, "it does not call tools"),
    "response_format": (
        {"needs": Needs(response_format="json_schema")},
        {"response_formats": frozenset({"text", "json_object"})},
        "it does not give response_format json_schema",
    ),
    "logprobs": ({"needs": Needs(logprobs=True)}, {"logprobs": False}, "it does not give logprobs"),
    "n": ({"needs": Needs(n=3)}, {"max_n": 2}, "it gives at most n = 2, and 3 were asked for"),
    "privacy": (
        {"needs": Needs(privacy=frozenset({"on-premises", "eu"}))},
        {"privacy": frozenset()},
        "it lacks the privacy tag eu, on-premises",
    ),
    "api": (
        {"api": Api.COMPLETIONS},
        {"apis": frozenset({Api.CHAT})},
        "it does not serve completions",
    ),
}


def filter_one(request, *capabilities, closed=None, tokens=100.0):
    endpoints = [Endpoint(f"e{e}", f"m{e}", capabilities=can) for e, can in enumerate(capabilities)]
    table = replace(make_table(endpoints), input_tokens=np.full((1, len(endpoints)), tokens))
    mask, excluded = Eligibility(endpoints).filter([request], table, closed or [None] * len(endpoints))
    return mask[0].tolist(), dict(excluded[0])


@pytest.mark.parametrize("need", CASES)
def test_each_need_excludes_the_endpoint_that_lacks_it_and_says_so(need):
    fields, lacking, sentence = CASES[need]
    able, unable = ABLE, replace(ABLE, **lacking)
    mask, excluded = filter_one(make_request(**fields), unable, able)
    assert mask == [False, True]
    assert excluded == {"e0": sentence}
    assert refusal(excluded) == f"no endpoint can serve this request: e0: {sentence}"


@pytest.mark.parametrize("need", CASES)
def test_without_the_need_nobody_is_excluded(need):
    assert filter_one(make_request(), replace(ABLE, **CASES[need][1]), ABLE) == ([True, True], {})


def test_a_limit_is_met_at_its_value():
    limits = Capabilities(context_tokens=250, max_output_tokens=150, max_n=1)
    assert filter_one(make_request(max_tokens=150), limits) == ([True], {})


def test_limits_that_are_not_declared_are_not_checked():
    assert filter_one(make_request(max_tokens=10**9), Capabilities(), tokens=1e9) == ([True], {})


def test_a_model_name_pins_and_auto_does_not():
    assert filter_one(make_request(model="m1"), ABLE, ABLE)[0] == [False, True]
    assert filter_one(make_request(model="m1"), ABLE, ABLE)[1] == {"e0": "the request names model m1"}
    assert filter_one(make_request(model=AUTO), ABLE, ABLE)[0] == [True, True]


def test_a_lasting_reason_is_named_before_a_passing_one():
    request = make_request(needs=Needs(tools=True))
    _, excluded = filter_one(request, replace(ABLE, tools=False), ABLE, closed=["it is down", "it is down"])
    assert excluded == {"e0": "it does not call tools", "e1": "it is down"}


def test_no_endpoints_at_all_has_its_own_sentence():
    assert refusal({}) == "no endpoint is configured"


@given(data=st.data(), over=ours.endpoints())
def test_mask_and_reasons_agree_and_a_batch_equals_its_rows(data, over):
    models = tuple(endpoint.model for endpoint in over)
    batch = [data.draw(ours.requests(f"r{row}", models)) for row in range(3)]
    tokens = np.array(data.draw(st.lists(st.floats(0, 5000), min_size=3 * len(over), max_size=3 * len(over))))
    table = replace(data.draw(ours.tables(over, 3)), input_tokens=tokens.reshape(3, len(over)))
    closed = data.draw(
        st.lists(st.sampled_from([None, None, "it is down"]), min_size=len(over), max_size=len(over))
    )
    eligibility = Eligibility(over)
    mask, excluded = eligibility.filter(batch, table, closed)
    assert mask.shape == table.quality.value.shape
    for row, request in enumerate(batch):
        assert {e.name for e, fits in zip(over, mask[row], strict=True) if not fits} == set(excluded[row])
        alone, why = eligibility.filter([request], table.row(row), closed)
        assert alone[0].tolist() == mask[row].tolist()
        assert why[0] == excluded[row]
        assert (excluded[row] is EMPTY) <= mask[row].all()
