"""One number from a program's standard output. No shell is involved."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pointsman.errors import ConfigError, MissingError
from pointsman.meters.reading import (
    BY_HAND,
    LIMIT_BYTES,
    TIMEOUT_S,
    check_timeout,
    number_in,
    too_long,
    too_slow,
)


@dataclass(frozen=True, slots=True)
class CommandReading:
    """Runs a program and reads its standard output.

    Attributes:
        argv: program and arguments; no shell, so no expansion.
        key: where the number stands in JSON output, see `number_in`; None: the output is the number.
        timeout_s: after it the program and what it started are killed.
    """

    argv: Sequence[str]
    key: str | None = None
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        check_timeout(self.timeout_s)
        if isinstance(self.argv, str) or not self.argv:
            raise ConfigError(
                f"the meter's command is {self.argv!r}", remedy='Give a list: ["program", "argument"]'
            )

    @property
    def label(self) -> str:
        """The program's name; its arguments may hold secrets."""
        return f"command {Path(self.argv[0]).name}"

    def read(self) -> float:
        """The number now. Raises MissingError or DataError."""
        try:
            process = subprocess.Popen(
                list(self.argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            raise MissingError(f"{self.label} can't be started: {error}", remedy="Install it") from error
        with process:
            try:
                output = self._output(process)
            finally:
                # Unless it was waited for, the pid is still its own; its children may hold the pipe.
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
        return number_in(output, self.key, self.label)

    def _output(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        deadline_s = time.monotonic() + self.timeout_s
        output = b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(max(0.0, deadline_s - time.monotonic())):
                piece = os.read(process.stdout.fileno(), LIMIT_BYTES)
                output += piece
                if len(output) > LIMIT_BYTES:
                    raise too_long(self.label)
                if not piece:
                    return _of_success(process, output, self, deadline_s)
        raise too_slow(self.label, self.timeout_s)


def _of_success(
    process: subprocess.Popen[bytes], output: bytes, reading: CommandReading, deadline_s: float
) -> bytes:
    try:
        status = process.wait(max(0.01, deadline_s - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise too_slow(reading.label, reading.timeout_s) from error
    if status != 0:
        raise MissingError(f"{reading.label} ended with exit code {status}", remedy=BY_HAND)
    return output
