"""What a line of a public file becomes: a row of our tables, or the reason why it was refused."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from pointsman.errors import DataError

Cells = TypeVar("Cells")
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a line was left out: the value, the limit and the remedy."""

    why: str


@dataclass(frozen=True, slots=True)
class Query:
    """A row of `queries.parquet`; None where the format has nothing.

    Attributes:
        id: unique within a file, and the same whenever the same file is read.
        ground_truth, metric, choices_json: as the source has them, so that an export can give them back.

    Raises: DataError for an empty id or prompt, and for text that is no Unicode.
    """

    id: str
    task: str
    prompt: str
    ground_truth: str | None = None
    metric: str | None = None
    choices_json: str | None = None

    def __post_init__(self) -> None:
        """Check what every table needs."""
        _written("the query's id", self.id)
        _written("the prompt", self.prompt)
        for text in (self.task, self.ground_truth, self.metric, self.choices_json):
            _unicode("the query", text or "")


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of `outcomes.parquet`: what one model made of the query; None where not known.

    Attributes:
        score: in [0, 1].
        input_tokens, output_tokens: of the model's own tokenizer.
        output_chars: of the answer's text, which itself is not kept.
        latency_s: of the whole call.
    """

    model: str
    score: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    output_chars: int | None = None
    cost_usd: float | None = None
    latency_s: float | None = None

    def __post_init__(self) -> None:
        """Raises DataError for a model without a name."""
        _written("the model's name", self.model)


@dataclass(frozen=True, slots=True)
class Answered:
    """A query and its answers. A call that failed is counted, not taken for a wrong answer."""

    query: Query
    answers: tuple[Answer, ...]
    failed_calls: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A row of a trace.

    Attributes:
        arrival_s: on any clock; the table counts from the first arrival.
        prefix_hash_ids: equal ids are equal blocks of the prompt.
        ttft_s, latency_s: as measured for this request.
        failed: the call failed, so its length is not known; it is counted and left out.
    """

    arrival_s: float
    input_tokens: int
    output_tokens: int
    prefix_hash_ids: tuple[int, ...] | None = None
    ttft_s: float | None = None
    latency_s: float | None = None
    failed: bool = False


@dataclass(slots=True)
class ContentIds:
    """Ids for queries of a format that has none: of what they say, so that every reading gives the same.

    A text that comes again is another query: `~2`, `~3` tell them apart.
    """

    seen: Counter[str] = field(default_factory=Counter)

    def of(self, task: str, *parts: str) -> str:
        """The next query of this task and these parts."""
        name = content_id(task, *parts)
        self.seen[name] += 1
        return name if self.seen[name] == 1 else f"{name}~{self.seen[name]}"


def content_id(task: str, *parts: str) -> str:
    """The task's name and 64 bits of a hash over all that tells this query from others."""
    told = "\0".join((task, *parts)).encode(errors="surrogatepass")
    return f"{task}:{hashlib.blake2b(told, digest_size=8).hexdigest()}"


def parsed(
    lines: Iterable[tuple[int, Cells | Refused]], parse: Callable[[Cells], Row]
) -> Iterator[tuple[int, Row | Refused]]:
    """Each line through `parse`; what it raises as DataError refuses that line alone."""
    for number, cells in lines:
        if isinstance(cells, Refused):
            yield number, cells
            continue
        try:
            row = parse(cells)
        except DataError as error:
            yield number, Refused(str(error))
        else:
            yield number, row


def _written(what: str, text: str) -> None:
    if not text.strip():
        raise DataError(f"{what} is empty", remedy="Fill it in, or remove the line")
    _unicode(what, text)


def _unicode(what: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} holds {text[error.start]!r} at character {error.start}, which is no character",
            remedy="Write it as UTF-8",
        ) from error
