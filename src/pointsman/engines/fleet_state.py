"""What is known about running fleet models, kept in a file so that every process sees the same.

`state.json` in the state directory holds one record a model. It is replaced whole and written only
under the lock on `lock` beside it, so that two `up` at once can't start a model twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from pointsman.engines.locks import locked
from pointsman.errors import DataError


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


class FleetState:
    """The state directory: the records, their lock, and each model's log and address file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def locked(self) -> AbstractContextManager[None]:
        """Hold the directory's lock; waits for another process that holds it."""
        return locked(self.folder / "lock")

    def log(self, name: str) -> Path:
        """Where a model's output goes."""
        return self.folder / f"{name}.log"

    def address_file(self, name: str) -> Path:
        """Where a model's process writes its base URL when it is ready."""
        return self.folder / f"{name}.address"

    def load(self) -> list[FleetRecord]:
        """The records, in the order in which they were started; none if there is no file.

        Raises: DataError if the file can't be read as one of ours.
        """
        path = self.folder / "state.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[FleetRecord])
        except FileNotFoundError:
            return []
        except msgspec.DecodeError as error:
            raise DataError(
                f"{path} is not a fleet state file: {error}",
                remedy="Stop leftover `pointsman.engines.llama_server` processes and delete the file",
            ) from error

    def save(self, records: list[FleetRecord]) -> None:
        """Replace the records in one step. Needs the lock."""
        partial = self.folder / "state.partial"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(records)))
        partial.replace(self.folder / "state.json")
