"""Where model files come from: the cache directory and checks of GGUF files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pointsman.errors import DataError, MissingError

GGUF_MAGIC = b"GGUF"


def cache_dir() -> Path:
    """`$POINTSMAN_CACHE`, else the user's cache directory."""
    if chosen := os.environ.get("POINTSMAN_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pointsman"


def check_gguf(path: Path) -> None:
    """Raise MissingError if there is no file, DataError if it is not GGUF."""
    if not path.is_file():
        raise MissingError(f"there is no model file {path}", remedy="Give the path of a GGUF file")
    with path.open("rb") as file:
        magic = file.read(len(GGUF_MAGIC))
    if magic != GGUF_MAGIC:
        raise DataError(
            f"{path} begins with {magic!r}, not {GGUF_MAGIC!r}",
            remedy="Give a file in llama.cpp's GGUF format",
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; about a second for 500 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
