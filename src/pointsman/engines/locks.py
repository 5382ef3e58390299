"""A lock that holds between processes."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pointsman.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, made if need be; waits for whoever holds it.

    The system releases it when the holder dies. The file stays: removing it would let two processes
    hold a lock on two files of the same name. Raises: BadRequest if the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise BadRequest(
            f"{path.parent} can't be written: {error.strerror}",
            remedy="Set POINTSMAN_CACHE to a folder that can be",
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
