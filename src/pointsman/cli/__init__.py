"""The command line: words in, objects from `build`, tables out."""

from __future__ import annotations

import signal
from typing import Any

from pointsman.cli.app import app


def main() -> None:
    """Run the command `pointsman`. SIGTERM ends it as Ctrl-C does, what it started included; then with 143."""
    terminated = False

    def end(_number: int, frame: Any) -> None:
        nonlocal terminated
        terminated = True
        interrupt = signal.getsignal(signal.SIGINT)  # asyncio's own while a loop runs
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, end)
    try:
        app(prog_name="pointsman")
    except SystemExit as ended:
        raise SystemExit(128 + signal.SIGTERM if terminated else ended.code) from None


__all__ = ["app", "main"]
