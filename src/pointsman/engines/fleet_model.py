"""What a fleet is asked to run, and where its models answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pointsman.engines.catalogue import lookup
from pointsman.engines.weights import pulled_path
from pointsman.errors import BadRequest

if TYPE_CHECKING:
    from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,99}")
MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class FleetModel:
    """A model to run.

    Attributes:
        name: the model name it answers to.
        path: its GGUF file.
        port: 0 for any free one.
        threads: compute threads; None shares the cores evenly among the fleet's models.
        slots: requests that run at once; more wait inside the server.
        context_tokens: prompt and answer of one request.
        sha256: what the file must hash to; None where any file will do.

    Raises: BadRequest if a value is out of range.
    """

    name: str
    path: Path
    port: int = 0
    threads: int | None = None
    slots: int = 4
    context_tokens: int = 2048
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise BadRequest(
                f"{self.name!r} can't be a fleet model's name",
                remedy="Use up to 100 letters, digits and . _ : - and begin with a letter or digit",
                param="name",
            )
        self._check_range("port", self.port, 0, MAX_PORT)
        self._check_range("threads", 1 if self.threads is None else self.threads, 1, 512)
        self._check_range("slots", self.slots, 1, 256)
        self._check_range("context_tokens", self.context_tokens, 64, 1 << 20)

    def _check_range(self, param: str, value: int, least: int, most: int) -> None:
        if not least <= value <= most:
            raise BadRequest(
                f"{self.name} can't have {param} {value}", remedy=f"Choose {least} to {most}", param=param
            )


@dataclass(frozen=True, slots=True)
class FleetEndpoint:
    """Where a running model answers. `base_url` has no `/v1`; `pid` is what a meter watches."""

    name: str
    base_url: str
    pid: int
    context_tokens: int
    slots: int
    threads: int


def pulled_model(
    name: str,
    *,
    port: int = 0,
    threads: int | None = None,
    slots: int = 4,
    context_tokens: int = 2048,
    cache: Path | None = None,
) -> FleetModel:
    """A model of the catalogue, from the cache.

    Raises: BadRequest for an unknown name, MissingError with the command that pulls it.
    """
    model = lookup(name)
    path = pulled_path(model, cache)
    return FleetModel(name, path, port, threads, slots, context_tokens, model.sha256)
