"""Starting one fleet model: checks before, the process, and the wait until it answers."""

from __future__ import annotations

import http.client
import importlib.util
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pointsman.clock import RealClock
from pointsman.engines import processes
from pointsman.engines.fleet_state import FleetRecord, FleetState
from pointsman.engines.gguf import check_gguf, check_sha256
from pointsman.engines.llama_server import HOST, ServerOptions
from pointsman.engines.weights import digest
from pointsman.errors import BadRequest, EngineError, EngineTimeout, MissingError

if TYPE_CHECKING:
    from pointsman.engines.fleet_model import FleetModel

POLL_S = 0.05
HEALTH_TIMEOUT_S = 5.0
LOG_TAIL_LINES = 12


def require_extra() -> None:
    """Raise MissingError naming the extra if xllamacpp or psutil is not installed."""
    processes.import_psutil()
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingError(
            "the embedded fleet needs the package xllamacpp",
            remedy="Install it: pip install 'pointsman[fleet]'",
        )


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launch(model: FleetModel, threads: int, state: FleetState, *, tied: bool) -> FleetRecord:
    """Start the model's process; returns before it answers.

    Raises: MissingError, DataError: the file is absent, not GGUF or of another hash; BadRequest:
        the port is in use.
    """
    check_gguf(model.path)
    path = model.path.resolve()
    sha256 = digest(path)
    if model.sha256 is not None:
        check_sha256(path, model.sha256, sha256, remedy="It is not used. Delete it and pull again")
    _check_port(model)
    log = state.log(model.name)
    for stale in (log, state.address_file(model.name)):
        stale.unlink(missing_ok=True)
    options = ServerOptions(
        model=path,
        name=model.name,
        address_file=state.address_file(model.name),
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
        sha256=sha256,
        threads=threads,
        slots=model.slots,
        context_tokens=model.context_tokens,
        started_at_s=RealClock().wall(),
        tied=tied,
        log=str(log),
    )


def wait_ready(record: FleetRecord, state: FleetState, *, give_up_at_s: float) -> FleetRecord:
    """The record with its address, once `/health` says 200.

    Raises: EngineError if the process ended, EngineTimeout when `time.monotonic()` reaches
        `give_up_at_s`; both with the log's end.
    """
    address_file = state.address_file(record.name)
    while time.monotonic() < give_up_at_s:
        if address_file.exists():
            base_url = msgspec.json.decode(address_file.read_bytes())["base_url"]
            if _healthy(base_url):
                return msgspec.structs.replace(record, base_url=base_url)
        if not processes.alive(record.pid, record.command):
            raise EngineError(
                f"{record.name} did not load {record.model}; {_log_end(record.log)}",
                endpoint=record.name,
            )
        time.sleep(POLL_S)
    waited_s = RealClock().wall() - record.started_at_s
    raise EngineTimeout(
        f"{record.name} was not ready {waited_s:.1f} s after its start; {_log_end(record.log)}",
        endpoint=record.name,
    )


def _check_port(model: FleetModel) -> None:
    """Raise BadRequest if the asked port can't be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, model.port))
        except OSError as error:
            raise BadRequest(
                f"{model.name} can't have port {model.port} on {HOST}: {error.strerror}",
                remedy="Choose another port, or 0 for a free one",
                param="port",
            ) from error


def _healthy(base_url: str) -> bool:
    host, port = base_url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False  # not yet: the caller asks again until its time is up
    finally:
        connection.close()


def _log_end(log: str) -> str:
    lines = Path(log).read_text(errors="replace").splitlines()
    return f"the end of {log}:\n" + ("\n".join(lines[-LOG_TAIL_LINES:]) or "(the log is empty)")
