"""Child processes that may outlive the process that started them.

A pid alone proves nothing: the number is used again. A process is ours only if it still runs the
command line we gave it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

from pointsman.errors import InternalError, MissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KILL_AFTER_S = 10.0
POLL_S = 0.02
STARTING_S = 5.0  # for how long a process may have no command line yet


def spawn(module: str, arguments: Sequence[str], log: Path) -> tuple[int, tuple[str, ...]]:
    """Start `python -m module arguments` with its output appended to `log`.

    Returns: the pid and the whole command line, by which `alive` knows it again.
    """
    command = (sys.executable, "-m", module, *arguments)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        # subprocess.Popen warns when it is dropped while its child runs, which is the purpose here.
        pid = os.posix_spawn(
            sys.executable,
            command,
            os.environ,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, opened, 1),
                (os.POSIX_SPAWN_DUP2, opened, 2),
            ],
        )
    finally:
        os.close(opened)
    return pid, command


def alive(pid: int, command: Sequence[str]) -> bool:
    """Whether `pid` still runs `command`; a process that has ended or another one does not count."""
    return _find(pid, command) is not None


def stop(pid: int, command: Sequence[str], *, kill_after_s: float = KILL_AFTER_S) -> None:
    """End the process by SIGTERM, then SIGKILL; returns when it has ended. Others are never touched.

    Raises: InternalError if it survives SIGKILL for `kill_after_s`.
    """
    process = _find(pid, command)
    if process is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(import_psutil().NoSuchProcess):  # it ended in between
            process.send_signal(number)
        give_up_at_s = time.monotonic() + kill_after_s
        while time.monotonic() < give_up_at_s:
            if _ended(process):
                return
            time.sleep(POLL_S)
    raise InternalError(f"process {pid} survived SIGKILL for {kill_after_s} s")


def import_psutil() -> Any:
    """The psutil module. Raises MissingError naming the extra when it is not installed."""
    try:
        import psutil
    except ImportError as error:
        raise MissingError(
            "the embedded fleet needs the packages xllamacpp and psutil",
            remedy="Install them: pip install 'pointsman[fleet]'",
        ) from error
    return psutil


def _find(pid: int, command: Sequence[str]) -> Any | None:
    """The psutil process with that pid and command line, if it runs."""
    psutil = import_psutil()
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            _reap(pid)
            return None
        # The first word may differ: an interpreter's launcher replaces itself.
        return process if _command_line(process)[1:] == list(command[1:]) else None
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _command_line(process: Any) -> list[str]:
    """What it runs. Empty for an instant after the spawn: the child is let go before the kernel has noted it."""
    give_up_at_s = time.monotonic() + STARTING_S
    while not (words := process.cmdline()) and time.monotonic() < give_up_at_s:
        time.sleep(POLL_S)
    return list(words)


def _ended(process: Any) -> bool:
    """Whether it is gone with all its threads, memory and ports; clears it if it was our child."""
    psutil = import_psutil()
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # another's child, which may stay a zombie for as long as its parent likes
        try:
            dead = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() == 1
            return dead or not process.is_running()
        except psutil.NoSuchProcess:
            return True


def _reap(pid: int) -> None:
    """Clear an ended child from the process table; another's child is its parent's to clear."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
