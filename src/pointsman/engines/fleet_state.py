"""What is known about running fleet models, kept in a file so that every process sees the same.

`state.json` in the state directory holds one record a model. It is read and written only under a
lock on `lock` beside it, so two `up` at once can't start a model twice.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One started model.

    Attributes:
        command: its command line, by which the process is known again.
        base_url: empty until it answers.
        started_at_s: seconds since 1970.
        sha256: of the GGUF file.
        tied: it ends with the process that started it.
    """

    name: str
    pid: int
    command: tuple[str, ...]
    model: str
    sha256: str
    threads: int
    slots: int
    context_tokens: int
    started_at_s: float
    tied: bool
    log: str
    base_url: str = ""

    @property
    def port(self) -> int:
        """The port of `base_url`; 0 until it answers."""
        return int(self.base_url.rsplit(":", 1)[1]) if self.base_url else 0


@contextmanager
def locked(state_dir: Path) -> Iterator[None]:
    """Hold the state directory's lock; waits for another process that holds it."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def load(state_dir: Path) -> list[FleetRecord]:
    """The records, in the order in which they were started; none if there is no file.

    Raises: DataError if the file can't be read as one of ours.
    """
    path = state_dir / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[FleetRecord])
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise DataError(
            f"{path} is not a fleet state file: {error}",
            remedy="Stop leftover `pointsman.engines.llama_server` processes and delete the file",
        ) from error


def save(state_dir: Path, records: Iterable[FleetRecord]) -> None:
    """Replace the records in one step."""
    partial = state_dir / "state.partial"
    partial.write_bytes(msgspec.json.format(msgspec.json.encode(list(records))))
    partial.replace(state_dir / "state.json")
