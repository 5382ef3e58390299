"""The child process of `sandbox.py`: run as a script, never imported by Pointsman.

    python -I -S sandbox_child.py REPORT_FD < task.json

Order matters: read the task; limit CPU and memory; parse; import the standard modules the code
names (afterwards no file opens any more); give up files, processes, privileges; then run the code and
its asserts; write one JSON line with the task's nonce to REPORT_FD; leave without finalisation.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import resource
import sys
import types
from contextlib import suppress
from typing import Any, Final, NoReturn

UNLIMITED: Final = -1
"""Reported instead of a count when the limits could not be set, and so nothing was run."""

NOBODY: Final = 65534
"""User and group a root child becomes."""

# fmt: off
ALLOWED_MODULES: Final = frozenset({
    "__future__", "abc", "array", "base64", "bisect", "calendar", "cmath", "collections", "collections.abc",
    "contextlib", "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq",
    "itertools", "json", "math", "numbers", "operator", "random", "re", "statistics", "string", "struct",
    "sys", "textwrap", "time", "types", "typing", "unicodedata",
})
"""What an answer may import; a module outside fails as it would where it isn't installed."""

ALLOWED_EVENTS: Final = frozenset({
    "array.__new__", "builtins.id", "code.__new__", "compile", "exec", "function.__new__",
    "object.__delattr__", "object.__getattr__", "object.__setattr__", "sys._getframe",
    "sys._getframemodulename", "sys.excepthook", "sys.unraisablehook", "time.sleep",
})
"""Audit events without effect outside the child; every other raises in the code that caused it."""
# fmt: on

MAX_CUTS: Final = 50
MAX_ERROR_CHARS: Final = 300
MAX_VALUE_CHARS: Final = 300
"""Escaped in the report, a character takes up to 12 bytes; a pipe takes 4,096 whole."""


def main() -> NoReturn:
    """Judge the task on stdin and report."""
    report_fd = int(sys.argv[1])
    task = json.load(sys.stdin)
    passed, error = judge(task)
    report = {"nonce": task["nonce"], "passed": passed, "error": error}
    os.write(report_fd, json.dumps(report).encode())
    os._exit(0)  # no atexit hooks, no waiting, no finalisers of the answer's objects


def judge(task: dict[str, Any]) -> tuple[int, str]:
    """Limit this process, then run the task; (how many asserts held or UNLIMITED, what went wrong)."""
    try:
        limit_resources(task["limits"])
    except (OSError, ValueError, OverflowError) as fault:
        return UNLIMITED, described(fault)
    try:
        code = parsable_prefix(task["code"])
        import_named_modules(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as fault:
        return 0, described(fault)
    try:
        lock_down()
    except (OSError, ValueError) as fault:
        return UNLIMITED, described(fault)
    try:
        return run(code, task["function"], task["tests"], task.get("expression"))
    except BaseException as fault:  # noqa: BLE001 - SystemExit and KeyboardInterrupt are failed answers too
        return 0, described(fault)


def limit_resources(limits: dict[str, Any]) -> None:
    """Set the kernel limits that hold from the start, parsing included."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, limits["cpu_s"], limits["cpu_s"] + 1)  # SIGXCPU, then SIGKILL
    _limit(resource.RLIMIT_FSIZE, 0)
    if sys.platform != "darwin":  # macOS refuses to lower it below what is mapped
        _limit(resource.RLIMIT_AS, limits["memory_bytes"])


def lock_down() -> None:
    """Give up everything else; nothing here can be undone."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    if os.getuid() == 0:
        with suppress(OSError):  # the only user of its namespace can't change; the other limits stay
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, 0)
    allowed = ALLOWED_EVENTS

    def refuse(event: str, args: tuple[object, ...]) -> None:
        if event == "import":  # comes only for modules that aren't loaded yet
            raise ImportError(f"{args[0]!r} is not available to an answer")
        if event not in allowed or (event == "object.__setattr__" and args[0] is refuse):
            raise PermissionError(f"the sandbox does not allow {event}")

    sys.addaudithook(refuse)


def parsable_prefix(source: str) -> ast.Module:
    """Parse as many leading lines as make a program: what follows is prose or was cut off."""
    lines = source.split("\n")
    for _ in range(MAX_CUTS):
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as fault:
            error = fault
            keep = min((fault.lineno or len(lines)) - 1, len(lines) - 1)
            if keep <= 0:
                break
            lines = lines[:keep]
    raise error


def import_named_modules(code: ast.Module) -> None:
    """Import the allowed modules that the code names, while files can still be opened."""
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module]
        else:
            continue
        for name in ALLOWED_MODULES.intersection(names):
            importlib.import_module(name)


def run(code: ast.Module, function: str, tests: list[str], expression: str | None = None) -> tuple[int, str]:
    """Run the code, then the asserts until one fails; (how many held, what went wrong).

    With an expression instead of asserts: (1, what its value looks like).
    """
    module = types.ModuleType("answer")
    sys.modules[module.__name__] = module  # where dataclasses look for the annotations' names
    namespace = vars(module)
    exec(compile(code, "answer", "exec", dont_inherit=True), namespace)  # noqa: S102 - what this process is for
    if not callable(namespace.get(function)):
        return 0, f"no function {function!r} is defined"
    if expression is not None:
        return 1, repr(eval(expression, dict(namespace)))[:MAX_VALUE_CHARS]  # noqa: S307 - as above
    for passed, test in enumerate(tests):
        try:
            exec(compile(test, "test", "exec", dont_inherit=True), dict(namespace))  # noqa: S102
        except BaseException as fault:  # noqa: BLE001 - a test that exits has failed
            return passed, f"{test}: {described(fault)}"[:MAX_ERROR_CHARS]
    return len(tests), ""


def described(fault: BaseException) -> str:
    """One line for an exception, even if its text can't be made."""
    try:
        text = str(fault)
    except BaseException:  # noqa: BLE001 - the answer may have defined its own __str__
        text = ""
    return f"{type(fault).__name__}: {text}"[:MAX_ERROR_CHARS].removesuffix(": ")


def _limit(what: int, soft: int, hard: int | None = None) -> None:
    """Lower soft and hard limit, never above what is already set."""
    ceiling = resource.getrlimit(what)[1]
    wanted = soft if hard is None else hard
    hard = wanted if ceiling == resource.RLIM_INFINITY else min(wanted, ceiling)
    resource.setrlimit(what, (min(soft, hard), hard))


if __name__ == "__main__":
    main()
