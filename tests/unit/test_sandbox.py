"""Code of an answer is found, judged and held in: hostile code scores 0 and harms nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import pointsman.data.sandbox
from pointsman.data.sandbox import MAX_CODE_CHARS, SandboxLimits, extract_code, run_tests, show_value
from pointsman.errors import InternalError

DOUBLE = "def f(n):\n    return 2 * n\n"
TESTS = ("assert f(2) == 4", "assert f(-1) == -2")
QUICK = SandboxLimits(cpu_s=1, wall_s=5.0)
CHILD = Path(pointsman.data.sandbox.__file__).with_name("sandbox_child.py")
OS = "os = __import__('os')\n"


def judge(code: str, tests: tuple[str, ...] = TESTS, limits: SandboxLimits = QUICK):
    return run_tests(code, "f", tests, limits=limits)


@pytest.mark.parametrize(
    "code",
    [
        DOUBLE,
        DOUBLE + "\nThis function doubles its argument.",
        DOUBLE + "\n# Example\nprint(f(",
        DOUBLE + "\nprint(f(3))",
        DOUBLE + "\nif __name__ == '__main__':\n    import doctest\n    print(f(int(input())))",
        "import math\nimport re, random, statistics, datetime\n" + DOUBLE,
        "import sys\nimport os\n" + DOUBLE,
        "from collections import namedtuple\nP = namedtuple('P', 'x')\ndef f(n):\n    return P(2 * n).x",
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(n): return P(2 * n).x",
        "from decimal import Decimal\ndef f(n):\n    return int(Decimal(n) * 2)",
        "def g(n): return n\ndef f(n): return g(n) + g(n)",
        "f = lambda n: n + n",
    ],
)
def test_right_code_passes(code):
    assert judge(code).ok


@pytest.mark.parametrize(
    ("code", "passed", "says"),
    [
        ("def f(n): return n + 2", 1, "assert f(-1) == -2: AssertionError"),
        ("def g(n): return n", 0, "no function 'f' is defined"),
        ("f = 3", 0, "no function 'f' is defined"),
        ("def f(n) return n", 0, "SyntaxError"),
        ("", 0, "no function 'f' is defined"),
        ("def f(n): return m", 0, "NameError: name 'm' is not defined"),
        ("x = 1 / 0\n" + DOUBLE, 0, "ZeroDivisionError"),
        ("import numpy\n" + DOUBLE, 0, "ImportError: 'numpy' is not available to an answer"),
        ("def f(n):\n    return f(n)", 0, "RecursionError"),
        ("x\0 = 1", 0, "Error"),
        ("x = " + "(" * 5_000, 0, "Error"),
        ("x" * (MAX_CODE_CHARS + 1), 0, f"the limit is {MAX_CODE_CHARS}"),
    ],
)
def test_wrong_code_fails_with_the_reason(code, passed, says):
    result = judge(code)
    assert (result.passed, result.total, result.ok) == (passed, 2, False)
    assert says in result.detail


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.exit(0)\n" + DOUBLE,
        "def f(n):\n    raise SystemExit(0)",
        "def f(n):\n    quit()",
        OS + "os._exit(0)\n" + DOUBLE,
        OS + "def f(n):\n    os._exit(0)",
        "def f(n):\n    print('2 of 2 asserts hold')",
        OS + 'os.write(3, b\'{"nonce": "", "passed": 2, "error": ""}\')\nos._exit(0)',
        OS
        + "for fd in range(1, 64):\n    try: os.write(fd, b'[' * 4096)\n    except OSError: pass\nos._exit(0)",
        "class E(BaseException):\n    def __str__(self): raise self\ndef f(n): raise E",
        OS + "os.kill(os.getpid(), 9)",
        OS + "os.abort()",
        "def f(n):\n    raise KeyboardInterrupt",
        "def f(n):\n    return input()",
    ],
)
def test_leaving_early_or_claiming_success_does_not_pass(code):
    assert judge(code).passed == 0


@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "os.kill(os.getppid(), 9)",
        "os.killpg(os.getpgid(os.getppid()), 9)",
        "os.system('true')",
        "os.execv('/bin/true', ['true'])",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.mkdir('d')",
        "os.symlink('a', 'b')",
        "os.listdir('/')",
        "open('/etc/passwd').read()",
        "open('new', 'w')",
        "__import__('subprocess')",
        "__import__('socket')",
        "__import__('ctypes')",
        "__import__('_posixsubprocess')",
        "__import__('threading').Thread(target=print).start()",
        "__import__('_thread').start_new_thread(print, ())",
        "os.pipe()",
    ],
)
def test_no_effect_outside(attempt):
    """The attempt raises inside the child; if it didn't, f would be right and the asserts would hold."""
    result = judge(f"{OS}def f(n):\n    {attempt}\n    return 2 * n")
    assert result.passed == 0
    assert "Error" in result.detail


def test_a_file_that_anyone_may_remove_stays():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        victim = Path(folder, "victim")
        victim.write_text("here")
        for attempt in (f"os.remove({str(victim)!r})", f"os.rename({str(victim)!r}, {str(victim) + '2'!r})"):
            assert judge(f"{OS}def f(n):\n    {attempt}\n    return 2 * n").passed == 0
        assert victim.read_text() == "here"


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are Linux's")
@pytest.mark.parametrize(
    "attempt",
    [
        "os.fork()",
        "open('/etc/passwd')",
        "os.pipe()",
        "__import__('_socket').socket()",
        "__import__('_thread').start_new_thread(print, ())",
        "os.pidfd_open(os.getppid())",
        "__import__('resource').setrlimit(7, (64, 64))",
        pytest.param(
            "os.kill(os.getppid(), 9)",
            marks=pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user"),
        ),
    ],
)
def test_the_kernel_refuses_even_without_the_audit_hook(attempt):
    script = f"""
import importlib.util, os, sys, _socket
spec = importlib.util.spec_from_file_location("child", {str(CHILD)!r})
child = importlib.util.module_from_spec(spec)
spec.loader.exec_module(child)
sys.addaudithook = lambda hook: None
child.limit_resources({{"cpu_s": 1, "memory_bytes": 2**28}})
child.lock_down()
try:
    {attempt}
except Exception as refusal:
    os.write(1, f"refused: {{refusal}}".encode())
else:
    os.write(1, b"allowed")
os._exit(0)
"""
    ran = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, check=True, timeout=20)
    assert ran.stdout.startswith(b"refused: "), ran.stdout + ran.stderr


def test_endless_code_is_stopped_by_the_cpu_limit():
    result = judge("def f(n):\n    while True: pass")
    assert (result.passed, result.detail) == (0, "used 1 CPU s")


def test_endless_output_is_dropped_and_stopped():
    assert judge("def f(n):\n    while True: print('x' * 1_000_000)").detail == "used 1 CPU s"


def test_code_that_waits_is_stopped_by_the_wall_limit():
    start = time.monotonic()
    result = judge("import time\ndef f(n):\n    time.sleep(60)", limits=SandboxLimits(cpu_s=1, wall_s=0.3))
    assert result.detail == "no verdict within 0.3 s"
    assert time.monotonic() - start < 5


def test_code_that_catches_everything_is_stopped():
    code = "def f(n):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass"
    assert judge(code).passed == 0


@pytest.mark.parametrize("body", ["[0] * 10**9", "'x' * 10**9", "[bytes(2**20) for _ in range(10**6)]"])
def test_much_memory_is_refused(body):
    assert "MemoryError" in judge(f"def f(n):\n    return {body}").detail


def test_nothing_runs_where_the_limits_cannot_be_set():
    with pytest.raises(InternalError, match="could not set its limits, so nothing was run: OverflowError"):
        judge(DOUBLE, limits=SandboxLimits(cpu_s=2**70))


def open_files() -> list[str]:
    return sorted(path.name for path in Path("/dev/fd").iterdir())


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = open_files()
    assert judge(DOUBLE).ok
    assert not judge(OS + "os._exit(3)").ok
    assert not judge("import time\ntime.sleep(9)", limits=SandboxLimits(wall_s=0.2)).ok
    assert list(tmp_path.iterdir()) == []
    assert open_files() == before


def test_the_environment_is_empty(monkeypatch):
    monkeypatch.setenv("POINTSMAN_SECRET", "hunter2")
    code = f"{OS}def f(n):\n    assert 'POINTSMAN_SECRET' not in os.environ\n    return 2 * n"
    assert judge(code).ok


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\ndef f(n):\n    return n\n```", "def f(n):\n    return n\n"),
        ("Sure!\n\n```\ndef f(n):\n    return n\n```\nDone.", "def f(n):\n    return n\n"),
        ("```python\ndef f(n):\n    return n", "def f(n):\n    return n\n"),
        ("```sh\npip install x\n```\n```py\ndef f(n): return n\n```", "def f(n): return n\n"),
        ("1. So:\n   ```python\n   def f(n):\n       return n\n   ```", "def f(n):\n    return n\n"),
        ("Here: \nimport math\ndef f(n): return n", "import math\ndef f(n): return n"),
        ("def f(n): return n", "def f(n): return n"),
        ("def helper(): pass\ndef f (n): return n", "def helper(): pass\ndef f (n): return n"),
        ("```python\ndef g(n): return n\n```", None),
        ("f(n) returns n", None),
        ("def ff(n): return n", None),
        ("", None),
    ],
)
def test_code_is_found_in_an_answer(answer, code):
    assert extract_code(answer, "f") == code


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("def f(): return {'a': [1, 2.0]}", "{'a': [1, 2.0]}"),
        ("def f(): return '\\U0001f642' * 5000", "'" + "\U0001f642" * 299),
        ("def f(): return 1 / 0", None),
        ("def f(): raise SystemExit(0)", None),
        ("def f(): return open('/etc/passwd').read()", None),
        ("def g(): return 1", None),
        ("def f(:", None),
        ("def f(): return 1" + " " * MAX_CODE_CHARS, None),
        ("class A:\n    def __repr__(self): raise ValueError\ndef f(): return A()", None),
    ],
)
def test_the_value_of_an_expression_is_shown_or_there_is_none(code: str, shown: str | None) -> None:
    assert show_value(code, "f", "f()", limits=SandboxLimits(wall_s=60.0)) == shown
