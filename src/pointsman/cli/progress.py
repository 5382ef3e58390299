"""What a long command is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A way to say what is being done, on stderr: one line that changes on a terminal, else a line each."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False, soft_wrap=True)
        return
    with console.status("") as status:
        yield lambda text: status.update(escape(text))
