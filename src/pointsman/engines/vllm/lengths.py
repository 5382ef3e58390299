"""Lengths predicted inside the engine, of prompts for which no gateway sent any, by what `pointsman train` learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pointsman.errors import ConfigError
from pointsman.predict.length import capped
from pointsman.predict.length.learned import LearnedLengths
from pointsman.predict.quality.base import Queries


class PromptLengths:
    """Predicts from token ids.

    Args:
        folder: the artifact of `pointsman train --target length`.
        endpoint: whose answers; None where it was learnt of one only.
        decode: token ids to text. It gives the whole prompt, with its history, of which the artifact was learnt from
            last turns: a gateway's predictions are better there.

    Raises: ConfigError for an endpoint that was not learnt, or that reads too slowly for an engine's loop; DataError.
    """

    def __init__(self, folder: Path, endpoint: str | None, decode: Callable[[Sequence[int]], str]) -> None:
        self._model, self._decode = LearnedLengths.read(folder), decode
        known = self._model.endpoints
        if endpoint is None and len(known) == 1:
            endpoint = known[0]
        if endpoint not in known:
            raise ConfigError(
                f"the lengths in {folder} are of {', '.join(known)}, and not of {endpoint}",
                remedy="Name one as `lengths_endpoint`",
            )
        if self._model.slow:
            raise ConfigError(
                f"the lengths in {folder} take milliseconds a prompt, in which no step of the engine runs",
                remedy="Train them with --features hot, or send predictions by the gateway",
            )
        self._column = known.index(endpoint)

    def tokens(self, prompt: Sequence[int], max_tokens: int) -> float:
        """The mean length of an answer of at most `max_tokens`."""
        curves = self._model.forecast(Queries.without_task([self._decode(prompt)]))
        mean, _, _ = capped(curves[:, self._column], np.array([float(max_tokens)]))
        return float(mean[0])
