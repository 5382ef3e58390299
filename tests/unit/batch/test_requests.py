"""Batch files: every line is read or told by its number, whatever stands in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.batch import requests as module
from pointsman.batch.requests import BadLine, BatchRequest, Place, fingerprint, read_line, read_requests
from pointsman.errors import BadRequest
from pointsman.types import Api, Prompt, Request


def parse(body: bytes, api: Api, request_id: str) -> Request:
    if body == b"[]":
        raise BadRequest("the body is a list", code="invalid_type")
    return Request(request_id, Prompt(body.decode()), api=api)


def line(custom_id: str, body: object = None, **fields: object) -> bytes:
    made = {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body or {}}
    return json.dumps({**made, **fields}).encode()


def test_lines_keep_their_number_and_place(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    lines = [b"\xef\xbb\xbf" + line("a"), b"", line("b") + b"\r", b"  ", line("a"), line("c", [1])]
    path.write_bytes(b"\n".join(lines))
    made = list(read_requests(path, parse))
    assert [(own.place.line, own.custom_id, type(own)) for own in made] == [
        (1, "a", BatchRequest), (3, "b", BatchRequest), (5, "a", BadLine), (6, "c", BatchRequest)
    ]  # fmt: skip
    for own in made:
        with path.open("rb") as file:
            file.seek(own.place.offset)
            again = read_line(file.readline(), own.place, parse)
        assert again.custom_id == own.custom_id
    assert made[2].message == "custom_id 'a' stands in line 1 already"
    assert made[0].request.api is Api.COMPLETIONS
    assert fingerprint(path).lines == 6
    path.write_bytes(path.read_bytes() + b"\n")
    assert fingerprint(path).lines == 6


def test_a_line_without_end_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 200)
    monkeypatch.setattr(module, "_READ_BYTES", 64)
    path = tmp_path / "r.jsonl"
    path.write_bytes(line("a", "x" * 1000) + b"\n" + line("b") + b"\n" + line("c", "x" * 1000))
    made = list(read_requests(path, parse))
    assert [(own.place.line, own.custom_id) for own in made] == [(1, None), (2, "b"), (3, None)]
    assert made[0].code == "line_too_long"


@pytest.mark.parametrize(
    ("data", "custom_id", "code"),
    [
        (b"null", None, "invalid_type"),
        (b'{"custom_id": "a", "body": ' + b"[" * 100_000, None, "invalid_json"),
        (b'{"custom_id": "a"}', "a", "invalid_type"),
        (b'{"custom_id": "a\xff"}', None, "invalid_json"),
        (line("a", method="GET"), "a", "invalid_url"),
        (line("a", url="/v1/files"), "a", "invalid_url"),
        (line("x" * 513), "x" * 513, "invalid_custom_id"),
        (line("a").replace(b"{}", b"[]"), "a", "invalid_type"),
    ],
)
def test_why_a_line_can_t_be_used(data: bytes, custom_id: str | None, code: str) -> None:
    made = read_line(data, Place(1, 0), parse)
    assert isinstance(made, BadLine)
    assert (made.custom_id, made.code) == (custom_id, code)


_SOME = st.lists(
    st.one_of(
        st.binary(max_size=40).map(lambda data: data.replace(b"\n", b"")),
        st.sampled_from("abc").map(line),
        st.recursive(st.none() | st.text(), lambda own: st.dictionaries(st.text(), own)).map(
            lambda value: json.dumps(value).encode()
        ),
    )
)


@given(_SOME)
def test_any_bytes_give_one_value_for_each_line_that_is_not_empty(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "r.jsonl"
    path.write_bytes(b"\n".join(lines))
    made = list(read_requests(path, parse))
    assert [own.place.line for own in made] == [n for n, data in enumerate(lines, 1) if data.strip()]
    good = [own.custom_id for own in made if isinstance(own, BatchRequest)]
    assert len(good) == len(set(good))
    assert set(good) == {"abc"[i] for i in range(3) if line("abc"[i]) in lines}
