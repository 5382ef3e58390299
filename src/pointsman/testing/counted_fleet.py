"""The embedded fleet with a counter before each of its servers, one of which can be killed and started again.

    async with counted_fleet(models, folder) as fleet:
        config = fleet.configure(folder, "policy: random")
        ...                                     pointsman serve, or run, with that configuration
        await fleet.kill(fleet.busiest())
        await fleet.start_again()

Needs the extra `fleet` and the models' weights.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pointsman.engines.fleet import Fleet, pulled_model
from pointsman.testing.counting_proxy import CountingProxy

_WAITS_S: Final = 5.0
"""For a request to be killed with; all may have ended."""

_MODEL: Final = """  - model_name: {name}
    litellm_params: {{model: openai/{weights}, api_base: "{url}"}}
    model_info: {{max_concurrent: {slots}}}
    profile: {weights}
"""


@dataclass(frozen=True, slots=True)
class CountedModel:
    """An endpoint: a model of the catalogue under a name, in so many slots."""

    name: str
    weights: str
    slots: int


@dataclass(slots=True)
class CountedFleet:
    """The models that run, each behind its proxy."""

    models: Sequence[CountedModel]
    fleet: Fleet
    proxies: dict[str, CountingProxy] = field(default_factory=dict)

    def configure(self, folder: Path, *sections: str) -> Path:
        """Write a configuration with these endpoints and sections; its decision log lies beside it as `log.sqlite`."""
        models = "".join(
            _MODEL.format(
                name=own.name, weights=own.weights, slots=own.slots, url=self.proxies[own.name].base_url
            )
            for own in self.models
        )
        lines = "".join(
            f"  {section}\n" for section in (*sections, f"log: {{path: {folder / 'log.sqlite'}}}")
        )
        path = folder / "config.yaml"
        path.write_text(f"model_list:\n{models}pointsman:\n{lines}", encoding="utf-8")
        return path

    def busiest(self) -> str:
        """The endpoint that was asked most."""
        return max(self.proxies, key=lambda name: len(self.proxies[name].bodies))

    async def kill(self, name: str) -> None:
        """End the server's process, with at least one request in it if one comes within seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAITS_S):
                await self.proxies[name].until(running=1)
        (pid,) = (record.pid for record in self.fleet.status() if record.name == name)
        os.kill(pid, signal.SIGKILL)

    async def start_again(self) -> None:
        """Start whatever was killed; its proxy passes on to it."""
        for own in await asyncio.to_thread(self.fleet.up, tied=True):
            self.proxies[own.name].target = f"{own.base_url}/v1"


@asynccontextmanager
async def counted_fleet(models: Sequence[CountedModel], folder: Path) -> AsyncIterator[CountedFleet]:
    """The models, started, with their proxies; all end with the block."""
    wanted = [pulled_model(own.weights, slots=own.slots, threads=1) for own in models]
    named = [replace(made, name=own.name) for made, own in zip(wanted, models, strict=True)]
    made = CountedFleet(models, Fleet(named, state_dir=folder / "fleet"))
    async with AsyncExitStack() as stack:
        stack.callback(made.fleet.down)
        for own in await asyncio.to_thread(made.fleet.up, tied=True):
            proxy = CountingProxy(f"{own.base_url}/v1")
            made.proxies[own.name] = await stack.enter_async_context(proxy)
        yield made
