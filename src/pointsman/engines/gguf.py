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
    sha256 = _read_known(remembered).get(_state_of(path))
    if sha256 is None:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        remember_sha256(path, sha256, remembered)
    return sha256


def remember_sha256(path: Path, sha256: str, remembered: Path) -> None:
    """Note the hash of a file as it is now, for `sha256_of`."""
    known = _read_known(remembered) | {_state_of(path): sha256}
    remembered.parent.mkdir(parents=True, exist_ok=True)
    partial = remembered.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(known, indent=1))
    partial.replace(remembered)


def _state_of(path: Path) -> str:
    stat = path.stat()
    return f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}"


def _read_known(remembered: Path) -> dict[str, str]:
    try:
        known: dict[str, str] = json.loads(remembered.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}  # only a memory: what is lost is computed again
    return known
