"""Runs an answer's Python code and its asserts in a limited subprocess.

What holds it in (the child sets most of it itself, see `sandbox_child.py`):

    kernel   CPU seconds, address space, no new process or thread, no file longer than 0 bytes, no
             new file descriptor (so no file, socket, pipe or pidfd opens once the code starts), no
             core dump; started as root, it becomes nobody (65534) where its user namespace has
             one, and so can't signal us
    Python   isolated mode without site-packages, empty environment; an audit hook allows only
             events without effect outside: no kill, exec, fork, remove, rename, chmod, ctypes
    here     temporary working directory, its own process group, wall limit, stdin and output are
             the null device, the whole group is killed at the end

What it is not: a boundary against an attacker who studied it. There is no system call filter, no
namespace and no chroot. Where Pointsman isn't root the child runs under the same user, and then only
the audit hook keeps it from signalling us or removing files. macOS doesn't enforce the address space
limit. Code and asserts share one interpreter, so code that walks the interpreter's frames could
forge a pass; leaving early, printing success and hanging can't. For hostile input run all of
Pointsman in a container.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pointsman.errors import InternalError

MAX_CODE_CHARS: Final = 20_000
"""Longer code is not run: shipped tasks need a few hundred characters."""

_REPORT_BYTES: Final = 4096  # PIPE_BUF on Linux: one write of the child arrives whole
_CHILD: Final = Path(__file__).with_name("sandbox_child.py")
_FENCE: Final = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_CODE_START: Final = re.compile(r"^(?:def|async def|class|import|from|@)[ \w]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one run may use.

    Attributes:
        cpu_s: CPU seconds, whole ones (the kernel counts no finer).
        wall_s: seconds from start to the verdict, the interpreter's start included.
        memory_bytes: address space of the child, interpreter included (about 30 MB).
    """

    cpu_s: int = 2
    wall_s: float = 8.0
    memory_bytes: int = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """How many asserts held, and why the first one that didn't, didn't."""

    passed: int
    total: int
    detail: str

    @property
    def ok(self) -> bool:
        """Whether every assert held."""
        return self.passed == self.total


def extract_code(answer: str, function: str) -> str | None:
    """Take the code out of a model's answer.

    The first fenced block that defines `function` (a last fence may be missing: the answer was cut
    off), else the text from its first `def`, `class`, `import`, `from` or decorator on. Prose after
    the code is cut off where it is parsed, in the child.

    Returns: the code, or None where nothing defines `function`.
    """
    defines = re.compile(rf"^(?:async )?def {re.escape(function)}\s*\(", re.MULTILINE)
    for block in _FENCE.finditer(answer):
        code = _dedented(block.group(1))
        if defines.search(code):
            return code
    start = _CODE_START.search(answer)
    if start is not None and defines.search(answer, start.start()):
        return answer[start.start() :]
    return None


def run_tests(
    code: str, function: str, tests: Sequence[str], *, limits: SandboxLimits | None = None
) -> SandboxResult:
    """Run `code`, then each of `tests` until one fails, in a child process. Blocks up to `wall_s`.

    Safe to call from several threads. Touches nothing but a temporary directory.

    Args:
        code: Python source; the longest run of leading lines that parses is what runs.
        function: the name it must define.
        tests: `assert` statements.
        limits: what it may use; None means the defaults.

    Returns: the verdict. Whatever the code does (no end, no memory, exit, output without end, garbage
        on our pipe) is a failed test with the reason in `detail`, never an exception.

    Raises: InternalError if the child could not set its limits; nothing was run then.
    """
    limits = limits or SandboxLimits()
    total = len(tests)
    if len(code) > MAX_CODE_CHARS:
        return SandboxResult(0, total, f"code of {len(code)} characters, the limit is {MAX_CODE_CHARS}")
    nonce = secrets.token_hex(16)
    task = {
        "nonce": nonce,
        "code": code,
        "function": function,
        "tests": list(tests),
        "limits": asdict(limits),
    }
    report, status = _run_child(json.dumps(task).encode(), limits.wall_s)
    if report is None:
        return SandboxResult(0, total, f"no verdict within {limits.wall_s:g} s")
    verdict = _read_report(report, nonce)
    if verdict is None:
        why = f"used {limits.cpu_s} CPU s" if status == -signal.SIGXCPU else "ended before its tests did"
        return SandboxResult(0, total, why)
    passed, error = verdict
    if passed < 0:
        raise InternalError(f"the sandbox could not set its limits, so nothing was run: {error}")
    return SandboxResult(passed, total, error or f"{passed} of {total} asserts hold")


def show_value(
    code: str, function: str, expression: str, *, limits: SandboxLimits | None = None
) -> str | None:
    """Run `code`, then evaluate `expression` with its names, in a child process as `run_tests` does.

    Returns: the value's `repr`, to 300 characters; None where there is no value in time.
    Raises: InternalError as `run_tests`.
    """
    limits = limits or SandboxLimits()
    if len(code) > MAX_CODE_CHARS:
        return None
    nonce = secrets.token_hex(16)
    task = {
        "nonce": nonce,
        "code": code,
        "function": function,
        "tests": [],
        "expression": expression,
        "limits": asdict(limits),
    }
    report, _ = _run_child(json.dumps(task).encode(), limits.wall_s)
    verdict = _read_report(report, nonce) if report else None
    if verdict is None:
        return None
    shown, text = verdict
    if shown < 0:
        raise InternalError(f"the sandbox could not set its limits, so nothing was run: {text}")
    return text if shown else None


def _run_child(task: bytes, wall_s: float) -> tuple[bytes | None, int]:
    """Start the child, wait for its first report or its end, then kill its group.

    Returns: what it wrote (None: nothing in time; empty: it ended without), and its exit status.
    """
    report_r, report_w = os.pipe()
    try:
        with tempfile.TemporaryDirectory(prefix="pointsman-") as cwd, tempfile.TemporaryFile() as stdin:
            stdin.write(task)
            stdin.seek(0)
            try:
                child = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_CHILD), str(report_w)],
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(report_w,),
                    cwd=cwd,
                    env={},
                    start_new_session=True,
                )
            finally:
                os.close(report_w)
            try:
                waiting = select.poll()
                waiting.register(report_r, select.POLLIN | select.POLLHUP)
                spoke = waiting.poll(wall_s * 1000)
                report = os.read(report_r, _REPORT_BYTES) if spoke else None
            finally:
                _kill_group(child)
            return report, child.returncode
    finally:
        os.close(report_r)


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill and reap the child and whatever it started in its group."""
    with suppress(ProcessLookupError):  # it has ended and left nobody behind
        os.killpg(child.pid, signal.SIGKILL)
    child.kill()  # in case it left its group; a no-op once reaped
    child.wait()


def _read_report(report: bytes, nonce: str) -> tuple[int, str] | None:
    """What the child said, or None if that was not our child speaking."""
    try:
        said = json.loads(report)
    except (ValueError, RecursionError):
        return None
    match said:
        case {"nonce": str(given), "passed": int(passed), "error": str(error)} if given == nonce:
            return passed, error
        case _:
            return None


def _dedented(block: str) -> str:
    """The block without the indentation of its first line (a fence inside a list item)."""
    lines = block.splitlines()
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(indent) for line in lines) + "\n"
