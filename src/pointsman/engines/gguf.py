"""Checks of GGUF files, llama.cpp's model format."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

from pointsman.errors import DataError, MissingError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"GGUF"


def check_gguf(path: Path) -> None:
    """Raise MissingError if there is no file, DataError if it is not GGUF."""
    if not path.is_file():
        raise MissingError(f"there is no model file {path}", remedy="Give the path of a GGUF file")
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise DataError(
            f"{path} begins with {magic!r}, not {MAGIC!r}", remedy="Give a file in llama.cpp's GGUF format"
        )


def check_sha256(path: Path, expected: str, actual: str, *, remedy: str) -> None:
    """Raise DataError if a file's hash is not what it must be."""
    if actual != expected:
        raise DataError(
            f"{path} has SHA-256 {actual}, expected {expected}: it is damaged or not the published model",
            remedy=remedy,
        )


def sha256_of(path: Path, remembered: Path) -> str:
    """SHA-256 of a file in hexadecimal, about a second for 500 MB.

    Args:
        path: the file.
        remembered: a JSON file of earlier results, by path, size and time of change; made if need
            be. A file that was written since is read again.
    """
    stat = path.stat()
    key = f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    known = _read_known(remembered)
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        remembered.parent.mkdir(parents=True, exist_ok=True)
        partial = remembered.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(json.dumps(known, indent=1))
        partial.replace(remembered)
    return known[key]


def _read_known(remembered: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(remembered.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}  # only a memory: what is lost is computed again
    return known
