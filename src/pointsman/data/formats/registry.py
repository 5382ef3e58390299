"""The public formats by name: the one place where a name becomes a reader or a writer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TextIO

from pointsman.data.formats import (
    azure,
    llmrouter,
    lm_eval,
    mooncake,
    qaserve,
    routellm,
    routerarena,
    routerbench,
    vllm_bench,
)
from pointsman.data.formats.outcome_set import Exported, OutcomeSet
from pointsman.data.formats.rows import Answered, Arrival, Refused

LM_EVAL: Final = "lm-eval"

OutcomeReader = Callable[[Path, str], Iterator[tuple[int, Answered | Refused]]]
"""A file and the task where the format tells none -> its lines."""

TraceReader = Callable[[Path], Iterator[tuple[int, Arrival | Refused]]]

OutcomeExporter = Callable[[OutcomeSet, TextIO], Exported]

OUTCOME_READERS: Final[Mapping[str, OutcomeReader]] = {
    "routellm": routellm.read,
    "routerbench": routerbench.read,
    "llmrouter": llmrouter.read,
    "routerarena": routerarena.read,
    "qaserve": qaserve.read,
    LM_EVAL: lm_eval.read,
}

TRACE_READERS: Final[Mapping[str, tuple[TraceReader, tuple[str, ...]]]] = {
    "azure": (azure.read, ()),
    "mooncake": (mooncake.read, ("prefix_hash_ids",)),
    "vllm-bench": (vllm_bench.read, ("ttft_s", "latency_s")),
}
"""Each with the columns that it fills beside those of every trace."""

EXPORTERS: Final[Mapping[str, OutcomeExporter]] = {
    "routellm": routellm.write,
    "routerbench": routerbench.write,
    "llmrouter": llmrouter.write,
}
