"""What `vllm bench serve --save-result --save-detailed` writes: a JSON object, all on one line.

Lists with an entry a request: `start_times` (seconds on a clock of the client's), `input_lens`, `output_lens` (tokens),
`ttfts` (seconds), `itls` (lists of seconds between tokens), `errors` (empty: it went well). A request's time is
its first token's and all between tokens; a failed one is counted and left out.
Source: vllm-project/vllm, `vllm/benchmarks/serve.py`, `benchmark()`; read in forks of it, with and without
`start_times`, which older versions don't save: without it nobody can say when a request came, so that is refused.

The whole object is read at once. Of several results in one file (`--append-result`) only the first is a trace; prompts
are not saved, so it is a trace and no outcomes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pointsman.data.formats.lines import json_objects
from pointsman.data.formats.rows import Arrival, Refused, parsed
from pointsman.data.formats.values import amount, counted
from pointsman.errors import DataError

_LISTS: Final = ("start_times", "input_lens", "output_lens", "ttfts", "itls", "errors")


def read(path: Path) -> Iterator[tuple[int, Arrival | Refused]]:
    """The requests of a result, by their place in its lists, from 1."""
    results = json_objects(path)
    _, first = next(results, (0, Refused("there is none")))
    if isinstance(first, Refused):
        raise DataError(f"{path} holds no result: {first.why}", remedy="Save one with --save-result")
    if missing := [name for name in _LISTS if not isinstance(first.get(name), list)]:
        raise DataError(
            f"{path} has no list {', '.join(missing)}",
            remedy="Run vllm bench serve with --save-detailed, of a version that saves start_times",
        )
    lengths = {name: len(first[name]) for name in _LISTS}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path} has lists of different lengths: {lengths}", remedy="Save the result again")
    requests = zip(*(first[name] for name in _LISTS), strict=True)
    yield from parsed(enumerate(requests, 1), _parse)
    for _ in results:
        more = "it is of another run, whose clock may differ. Import each run's line by itself (sed -n 2p)"
        yield lengths["start_times"] + 1, Refused(more)
        return


def _parse(request: tuple[Any, ...]) -> Arrival:
    start, input_tokens, output_tokens, ttft, between, error = request
    start_s, ttft_s = amount(start, "start_times"), amount(ttft, "ttfts")
    if start_s is None:
        raise DataError("start_times has no entry", remedy="Save the result again")
    if not isinstance(between, list):
        raise DataError(f"itls is {between!r:.40}, not a list", remedy="Save the result again")
    steps = [amount(step, "itls") or 0.0 for step in between]
    return Arrival(
        start_s,
        counted(input_tokens, "input_lens"),
        counted(output_tokens, "output_lens"),
        ttft_s=ttft_s,
        latency_s=None if ttft_s is None else ttft_s + sum(steps),
        failed=bool(error),
    )
