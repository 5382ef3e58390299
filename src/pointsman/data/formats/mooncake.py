"""Mooncake's traces: JSONL with an object a request.

`timestamp` is the arrival in milliseconds, `input_length` and `output_length` count tokens, `hash_ids` name the
prompt's blocks of 512 tokens: equal ids are equal blocks, so a shared prefix.
Source: kvcache-ai/Mooncake @40ea55f `FAST25-release/README.md` (fields), @3cca71d `FAST25-release/traces/*.jsonl`.
The README gives no unit; that they are milliseconds, and 512 tokens a block, is seen in the published traces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.rows import Arrival, Refused, parsed
from pointsman.data.formats.values import amount, counted
from pointsman.errors import DataError

_MAX_ID = 2**63 - 1


def read(path: Path) -> Iterator[tuple[int, Arrival | Refused]]:
    """The requests of a trace."""
    return parsed(json_objects(path), _parse)


def _parse(record: Mapping[str, Any]) -> Arrival:
    milliseconds = amount(record.get("timestamp"), "timestamp")
    if milliseconds is None:
        raise DataError("timestamp is missing", remedy="Fill it in, or remove the line")
    return Arrival(
        milliseconds / 1000,
        counted(record.get("input_length"), "input_length"),
        counted(record.get("output_length"), "output_length"),
        prefix_hash_ids=_blocks(record.get("hash_ids")),
    )


def _blocks(found: Any) -> tuple[int, ...] | None:
    if found is None:
        return None
    if not isinstance(found, list) or not all(type(each) is int and abs(each) <= _MAX_ID for each in found):
        raise DataError(f"hash_ids is {found!r:.60}, not a list of whole numbers", remedy="Leave it out")
    return tuple(found)
