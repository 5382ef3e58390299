"""Azure's LLM inference traces of 2023 and 2024, and the multimodal one: CSV with a row a request.

    TIMESTAMP,ContextTokens,GeneratedTokens

The time of the call, and the tokens of prompt and answer. 2023 writes seven digits of a second and no zone, 2024 six
(or none at all) and `+00:00`. `NumImages` of the multimodal trace is left.
Source: Azure/AzurePublicDataset @1a61e6c `AzureLLMInferenceDataset2023.md`, @04e28b8 `...2024.md` and its notebook
(both ways of writing the time), @517b239 `AzureLMMInferenceDataset2025.md`, @7909210 `data/*.csv`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pointsman.data.formats.lines import csv_rows
from pointsman.data.formats.rows import Arrival, Refused, parsed
from pointsman.data.formats.values import counted
from pointsman.errors import DataError


def read(path: Path) -> Iterator[tuple[int, Arrival | Refused]]:
    """The requests of a trace, in seconds from the first line's."""
    _, rows = csv_rows(path, ["TIMESTAMP", "ContextTokens", "GeneratedTokens"])
    first: datetime | None = None

    def parse(cells: Mapping[str, str]) -> Arrival:
        nonlocal first
        time = _time(cells["TIMESTAMP"])
        input_tokens = counted(cells["ContextTokens"], "ContextTokens")
        output_tokens = counted(cells["GeneratedTokens"], "GeneratedTokens")
        if first is not None and (time.tzinfo is None) != (first.tzinfo is None):
            raise DataError(
                f"TIMESTAMP is {cells['TIMESTAMP']!r:.60}, unlike the lines before",
                remedy="Give every line a zone, or none",
            )
        first = first or time
        return Arrival((time - first).total_seconds(), input_tokens, output_tokens)

    return parsed(rows, parse)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise DataError(
            f"TIMESTAMP is {text!r:.60}, not a time", remedy="Write it as 2024-05-10 00:00:00.009930+00:00"
        ) from error
