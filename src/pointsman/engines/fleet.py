"""The embedded fleet: real small models, each in its own llama.cpp process, OpenAI over loopback.

The life of a fleet model:

1. `Fleet.up` takes the state directory's lock, so nobody else starts the same model.
2. A model that already runs with the same file and settings is kept.
3. The others start, all at once, and are written to the state file with their pids.
4. Each loads its file and writes its address; `/health` is asked until it says 200.
5. If one fails, those that this call started are stopped, and the error shows the log's end.
6. The fleet outlives the process, unless it was started as a context manager.
7. `Fleet.down`, from any process, stops what the state file names and is really ours.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from pointsman.engines import processes
from pointsman.engines.fleet_launch import available_cores, launch, require_extra, wait_ready
from pointsman.engines.fleet_model import FleetEndpoint, FleetModel, pulled_model
from pointsman.engines.fleet_state import FleetRecord, FleetState
from pointsman.engines.weights import cache_dir
from pointsman.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["Fleet", "FleetEndpoint", "FleetModel", "FleetRecord", "pulled_model"]

READY_TIMEOUT_S = 120.0
MAX_READY_TIMEOUT_S = 86_400.0


class Fleet:
    """Starts and stops models; what runs is kept in `state_dir`, for every process to see.

    As a context manager it is temporary: the models it started end with the block, or with this
    process should that die first. Models that ran before are used and left running.

    Args:
        models: what to run; none to look at or stop whatever runs.
        state_dir: `fleet` in the cache directory if None.
        ready_timeout_s: how long `up` waits for all models together.
    """

    def __init__(
        self,
        models: Sequence[FleetModel] = (),
        *,
        state_dir: Path | None = None,
        ready_timeout_s: float = READY_TIMEOUT_S,
    ) -> None:
        names = [model.name for model in models]
        if len(set(names)) < len(names):
            raise BadRequest(f"model names repeat: {', '.join(names)}", remedy="Give each model its own name")
        if not 0 < ready_timeout_s <= MAX_READY_TIMEOUT_S:
            raise BadRequest(
                f"a wait of {ready_timeout_s} s for the fleet can't be used",
                remedy=f"Choose one above 0, up to {MAX_READY_TIMEOUT_S:.0f}",
                param="timeout",
            )
        self.models = tuple(models)
        self._state = FleetState(state_dir or cache_dir() / "fleet")
        self._ready_timeout_s = ready_timeout_s
        self._started_here: tuple[str, ...] = ()

    def up(
        self, *, tied: bool = False, on_ready: Callable[[FleetEndpoint], None] | None = None
    ) -> tuple[FleetEndpoint, ...]:
        """Start the models that do not run yet and wait until all answer.

        Args:
            tied: they end with this process.
            on_ready: called with each started model when it answers.

        Raises:
            MissingError: xllamacpp, psutil or a file is not there.
            DataError: a file is not GGUF, or its hash is not the catalogue's.
            BadRequest: a port is in use, or a model runs already with other settings.
            EngineError: a model did not load; EngineTimeout: not in time.
        """
        require_extra()
        with self._state.locked():
            running = self._running()
            for model in self.models:
                for record in running:
                    if record.name == model.name:
                        _check_same(record, model)
            names = {record.name for record in running}
            missing = [model for model in self.models if model.name not in names]
            ready = self._start(missing, running, tied=tied, on_ready=on_ready)
            self._state.save([*running, *ready])
        self._started_here = tuple(record.name for record in ready)
        return self.endpoints()

    def down(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        """Stop the named models, or all that this state directory knows; returns those stopped."""
        with self._state.locked():
            running = self._running()
            leaving = [record for record in running if names is None or record.name in names]
            self._stop(leaving)
            self._state.save([record for record in running if record not in leaving])
        return tuple(record.name for record in leaving)

    def status(self) -> tuple[FleetRecord, ...]:
        """The records of the models that run and answer now; records of the dead are left out."""
        return tuple(
            record
            for record in self._state.load()
            if record.base_url and processes.alive(record.pid, record.command)
        )

    def endpoints(self) -> tuple[FleetEndpoint, ...]:
        """Where the fleet's models answer: of this fleet if it names models, else all that run."""
        names = {model.name for model in self.models}
        return tuple(_endpoint(record) for record in self.status() if not names or record.name in names)

    def __enter__(self) -> Self:
        self.up(tied=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down(self._started_here)

    def _running(self) -> list[FleetRecord]:
        """Records of living models; one whose start was cut short is stopped. Needs the lock."""
        records = self._state.load()
        self._stop([record for record in records if not record.base_url])
        return [r for r in records if r.base_url and processes.alive(r.pid, r.command)]

    def _start(
        self,
        models: Sequence[FleetModel],
        running: list[FleetRecord],
        *,
        tied: bool,
        on_ready: Callable[[FleetEndpoint], None] | None,
    ) -> list[FleetRecord]:
        """Start the models and wait for all; if one fails, none of them is left."""
        share = max(1, available_cores() // max(1, len(self.models)))
        started: list[FleetRecord] = []
        ready: list[FleetRecord] = []
        try:
            for model in models:
                started.append(launch(model, model.threads or share, self._state, tied=tied))
                self._state.save([*running, *started])  # known to others before it answers
            give_up_at_s = time.monotonic() + self._ready_timeout_s
            for record in started:
                ready.append(wait_ready(record, self._state, give_up_at_s=give_up_at_s))
                if on_ready is not None:
                    on_ready(_endpoint(ready[-1]))
        except BaseException:
            self._stop(started)
            self._state.save(running)
            raise
        return ready

    def _stop(self, records: Sequence[FleetRecord]) -> None:
        for record in records:
            processes.stop(record.pid, record.command)
            self._state.address_file(record.name).unlink(missing_ok=True)


def _check_same(record: FleetRecord, model: FleetModel) -> None:
    """Raise BadRequest if the running model differs from what is wanted."""
    wanted = {
        "path": str(model.path.resolve()),
        "port": model.port or record.port,
        "threads": model.threads or record.threads,
        "slots": model.slots,
        "context_tokens": model.context_tokens,
    }
    runs = {
        "path": record.model,
        "port": record.port,
        "threads": record.threads,
        "slots": record.slots,
        "context_tokens": record.context_tokens,
    }
    for param, value in wanted.items():
        if value != runs[param]:
            raise BadRequest(
                f"{model.name} runs already with {param} {runs[param]}, and {value} was asked for",
                remedy="Stop it first: pointsman fleet down",
                param=param,
            )


def _endpoint(record: FleetRecord) -> FleetEndpoint:
    return FleetEndpoint(
        record.name, record.base_url, record.pid, record.context_tokens, record.slots, record.threads
    )
