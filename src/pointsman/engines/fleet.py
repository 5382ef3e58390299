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

import http.client
import importlib.util
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from pointsman.clock import RealClock
from pointsman.engines import fleet_state, processes
from pointsman.engines.fleet_state import FleetRecord
from pointsman.engines.llama_server import HOST, ServerOptions
from pointsman.engines.weights import cache_dir, check_gguf, sha256_of
from pointsman.errors import BadRequest, EngineError, EngineTimeout, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

READY_TIMEOUT_S = 120.0
POLL_S = 0.05
LOG_TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class FleetModel:
    """A model to run.

    Attributes:
        name: the model name it answers to.
        path: its GGUF file.
        port: 0 for any free one.
        threads: compute threads; None shares the cores evenly among the fleet's models.
        slots: requests that run at once.
        context_tokens: prompt and answer of one request.
    """

    name: str
    path: Path
    port: int = 0
    threads: int | None = None
    slots: int = 4
    context_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class FleetEndpoint:
    """Where a running model answers. `base_url` has no `/v1`; `pid` is what a meter watches."""

    name: str
    base_url: str
    pid: int
    context_tokens: int
    slots: int
    threads: int


class Fleet:
    """Starts and stops models; what runs is kept in `state_dir`, for every process to see.

    As a context manager it is temporary: the models it started end with the block, or with this
    process should that die first. Models that ran before are used and left running.
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
        self.models = tuple(models)
        self.state_dir = state_dir or cache_dir() / "fleet"
        self._ready_timeout_s = ready_timeout_s
        self._started_here: tuple[str, ...] = ()

    def up(
        self, *, tied: bool = False, on_ready: Callable[[FleetEndpoint], None] | None = None
    ) -> tuple[FleetEndpoint, ...]:
        """Start the models that do not run yet and wait until all answer.

        Args:
            tied: they end with this process.
            on_ready: called with each model as it becomes ready.

        Raises:
            MissingError: xllamacpp, psutil or a file is not there.
            BadRequest: a port is in use, or the model runs already with other settings.
            EngineError: a model did not load; EngineTimeout: not in time.
        """
        _require_extra()
        with fleet_state.locked(self.state_dir):
            running = self._running()
            wanted = {model.name: model for model in self.models}
            for record in running:
                if record.name in wanted:
                    self._check_same(record, wanted[record.name])
            missing = [model for model in self.models if model.name not in {r.name for r in running}]
            started = self._start(missing, running, tied=tied)
            try:
                ready = [self._wait_ready(record, on_ready) for record in started]
            except BaseException:
                self._stop(started)
                fleet_state.save(self.state_dir, running)
                raise
            fleet_state.save(self.state_dir, [*running, *ready])
            self._started_here = tuple(record.name for record in ready)
        return self.endpoints()

    def down(self, names: Sequence[str] | None = None) -> tuple[str, ...]:
        """Stop the named models, or all that this state directory knows; returns those stopped."""
        with fleet_state.locked(self.state_dir):
            running = self._running()
            leaving = [record for record in running if names is None or record.name in names]
            self._stop(leaving)
            fleet_state.save(self.state_dir, [record for record in running if record not in leaving])
        return tuple(record.name for record in leaving)

    def status(self) -> tuple[FleetRecord, ...]:
        """The records of the models that run and answer now; records of the dead are left out."""
        return tuple(
            record
            for record in fleet_state.load(self.state_dir)
            if record.base_url and processes.alive(record.pid, record.command)
        )

    def endpoints(self) -> tuple[FleetEndpoint, ...]:
        """Where the fleet's models answer: of this fleet if it names models, else all that run."""
        wanted = {model.name for model in self.models}
        return tuple(_endpoint(r) for r in self.status() if not wanted or r.name in wanted)

    def __enter__(self) -> Self:
        self.up(tied=True)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down(self._started_here)

    def _running(self) -> list[FleetRecord]:
        """Records of living models; one that never became ready is stopped. Needs the lock."""
        records = fleet_state.load(self.state_dir)
        self._stop([record for record in records if not record.base_url])
        return [r for r in records if r.base_url and processes.alive(r.pid, r.command)]

    def _check_same(self, record: FleetRecord, model: FleetModel) -> None:
        """Raise BadRequest if the running model differs from what is wanted."""
        asked = {
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
        for key, value in asked.items():
            if value != runs[key]:
                raise BadRequest(
                    f"{model.name} runs already with {key} {runs[key]}, and {value} was asked for",
                    remedy="Stop it first: pointsman fleet down",
                    param=key,
                )

    def _start(
        self, models: Sequence[FleetModel], running: Sequence[FleetRecord], *, tied: bool
    ) -> list[FleetRecord]:
        """Start the processes and write them to the state file at once, before they answer."""
        for model in models:
            check_gguf(model.path)
            _check_port(model)
        share = max(1, _cores() // max(1, len(self.models)))
        started: list[FleetRecord] = []
        for model in models:
            started.append(self._start_one(model, model.threads or share, tied=tied))
            fleet_state.save(self.state_dir, [*running, *started])
        return started

    def _start_one(self, model: FleetModel, threads: int, *, tied: bool) -> FleetRecord:
        path = model.path.resolve()
        address_file = self.state_dir / f"{model.name}.address"
        address_file.unlink(missing_ok=True)
        log = self.state_dir / f"{model.name}.log"
        log.unlink(missing_ok=True)
        options = ServerOptions(
            model=path,
            name=model.name,
            address_file=address_file,
            port=model.port,
            threads=threads,
            slots=model.slots,
            context_tokens=model.context_tokens,
            parent_pid=os.getpid() if tied else None,
        )
        pid, command = processes.spawn("pointsman.engines.llama_server", options.arguments(), log)
        return FleetRecord(
            name=model.name,
            pid=pid,
            command=command,
            model=str(path),
            sha256=sha256_of(path),
            threads=threads,
            slots=model.slots,
            context_tokens=model.context_tokens,
            started_at_s=RealClock().wall(),
            tied=tied,
            log=str(log),
        )

    def _wait_ready(
        self, record: FleetRecord, on_ready: Callable[[FleetEndpoint], None] | None
    ) -> FleetRecord:
        """The record with its address, once `/health` says 200."""
        address_file = self.state_dir / f"{record.name}.address"
        give_up_at_s = time.monotonic() + self._ready_timeout_s
        while time.monotonic() < give_up_at_s:
            if address_file.exists():
                base_url = msgspec.json.decode(address_file.read_bytes())["base_url"]
                if _healthy(base_url):
                    ready = msgspec.structs.replace(record, base_url=base_url)
                    if on_ready is not None:
                        on_ready(_endpoint(ready))
                    return ready
            if not processes.alive(record.pid, record.command):
                raise EngineError(
                    f"{record.name} did not load {record.model}; the end of {record.log}:\n{_tail(record.log)}",
                    endpoint=record.name,
                )
            time.sleep(POLL_S)
        raise EngineTimeout(
            f"{record.name} was not ready in {self._ready_timeout_s:g} s; the end of {record.log}:\n"
            f"{_tail(record.log)}",
            endpoint=record.name,
        )

    def _stop(self, records: Sequence[FleetRecord]) -> None:
        for record in records:
            processes.stop(record.pid, record.command)
            (self.state_dir / f"{record.name}.address").unlink(missing_ok=True)


def _endpoint(record: FleetRecord) -> FleetEndpoint:
    return FleetEndpoint(
        record.name, record.base_url, record.pid, record.context_tokens, record.slots, record.threads
    )


def _require_extra() -> None:
    processes.import_psutil()
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingError(
            "the embedded fleet needs the package xllamacpp",
            remedy="Install it: pip install 'pointsman[fleet]'",
        )


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _check_port(model: FleetModel) -> None:
    """Raise BadRequest if the asked port can't be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, model.port))
        except (OSError, OverflowError) as error:
            raise BadRequest(
                f"{model.name} can't have port {model.port} on {HOST}: {error}",
                remedy="Choose another port from 1024 to 65535, or 0 for a free one",
                param="port",
            ) from error


def _healthy(base_url: str) -> bool:
    host, port = base_url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False  # not yet: the caller asks again until its time is up
    finally:
        connection.close()


def _tail(log: str) -> str:
    lines = Path(log).read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:]) or "(the log is empty)"
