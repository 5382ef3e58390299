"""A directory of fitted numbers that is whole, unaltered and harmless, or refused with a reason.

    manifest.json   what it is: format, version, origin; the hash of each other file, and of itself
    model.json      settings and names
    arrays.npz      arrays of numbers
    held_out.npz    where there are any: forecasts and labels of held-out prompts, read only when they are asked for

Nothing in it is code, and nothing is unpacked to disk. Every byte is covered by a SHA-256: one that is
changed or missing is noticed. The hashes guard against accidents, not against who can write the folder;
so sizes, names, types and shapes are checked as well before memory is given to them.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pointsman.errors import BadRequest, DataError

FORMAT: Final = "pointsman-quality"
VERSION: Final = 3
READ: Final[Mapping[str, tuple[int, ...]]] = {FORMAT: (2, VERSION), "pointsman-length": (1,)}
"""Formats, and of each the versions that can be read, the one that is written last; the second of quality
has nothing held out."""
REMEDY: Final = "Make it again with: pointsman train"
MAX_BYTES: Final = 2**30
"""The largest file of an artifact, and the most that its arrays may take in memory."""

_MANIFEST, _MODEL, _ARRAYS = "manifest.json", "model.json", "arrays.npz"
_HELD_OUT: Final = "held_out.npz"
_HASHED: Final = (_MODEL, _ARRAYS)
_NAME: Final = re.compile(r"[a-z0-9_]+(?:[./][a-z0-9_]+)*")
_KINDS: Final = "bfiuU"
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a directory holds.

    Attributes:
        about: the manifest without its hashes: where the numbers are from.
        model: plain values of JSON.
        arrays: by name, lower case words with dots or slashes between them.
        form: what it is, one of `READ`.
    """

    about: Mapping[str, Any]
    model: Mapping[str, Any]
    arrays: Arrays
    form: str = FORMAT

    def write(self, path: Path, held_out: Arrays | None = None) -> None:
        """Put the directory at `path`, in the place of an older artifact if there is one.

        It appears whole or not at all. Raises: BadRequest where something else stands there.

        Args:
            path: the directory.
            held_out: arrays for a file of their own, which `read_held_out` reads and `read` does not.
        """
        check_replaceable(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
            fresh, old = Path(beside) / "new", Path(beside) / "old"
            fresh.mkdir()
            for name, raw in self._files(held_out).items():
                (fresh / name).write_bytes(raw)
            if path.exists():
                path.rename(old)
            fresh.rename(path)

    def _files(self, held_out: Arrays | None) -> dict[str, bytes]:
        files = {_MODEL: _dump(self.model), _ARRAYS: _pack(self.arrays)}
        if held_out is not None:
            files[_HELD_OUT] = _pack(held_out)
        finite = {name: _is_finite(array) for name, array in self.arrays.items()}
        manifest = {
            "format": self.form,
            "version": READ[self.form][-1],
            "about": dict(self.about),
            "finite": finite,
            "files": {name: _sha256(raw) for name, raw in files.items()},
        }
        return files | {_MANIFEST: _dump(manifest | {"sha256": _sha256(_dump(manifest))})}

    @classmethod
    def read(cls, path: Path, form: str = FORMAT) -> Bundle:
        """Raises DataError: not there, no such artifact, another version, altered, cut short, too large."""
        manifest = read_manifest(path, form)
        files = manifest["files"]
        if set(files) - {_HELD_OUT} != set(_HASHED):
            raise DataError(
                f"{path}: its manifest names the files {sorted(files)}, not {sorted(_HASHED)}", remedy=REMEDY
            )
        raw = {name: _unaltered(path / name, files[name]) for name in _HASHED}
        arrays = _unpack(raw[_ARRAYS], path / _ARRAYS)
        if {name: _is_finite(array) for name, array in arrays.items()} != manifest["finite"]:
            raise DataError(f"{path / _ARRAYS} holds NaN or other arrays than it should", remedy=REMEDY)
        return cls(manifest["about"], _parse(raw[_MODEL], path / _MODEL), arrays, form)


def read_held_out(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays that an artifact keeps in a file of their own; None where it has none. Raises: DataError."""
    told = read_manifest(path)["files"].get(_HELD_OUT)
    if told is None:
        return None
    return _unpack(_unaltered(path / _HELD_OUT, told), path / _HELD_OUT)


def check_replaceable(path: Path) -> None:
    """Raises BadRequest where something stands that is no artifact, so that none can be written there."""
    names = {child.name for child in path.iterdir()} if path.is_dir() else {""}
    artifact = _MANIFEST in names and names <= {_MANIFEST, *_HASHED, _HELD_OUT}
    if path.exists() and names and not artifact:
        raise BadRequest(
            f"{path} exists and is no artifact of Pointsman", remedy="Name a folder that does not exist"
        )


def read_manifest(path: Path, form: str = FORMAT) -> dict[str, Any]:
    """The manifest of an artifact, once it is what this version writes, byte for byte. Raises: DataError."""
    place = path / _MANIFEST
    if not path.is_dir():
        raise DataError(f"{path} is no folder", remedy="Name the folder that `pointsman train` wrote")
    raw = _read(place)
    document = _parse(raw, place)
    if document.get("format") != form:
        raise DataError(f"{place} is of no {form}: format {document.get('format')!r}", remedy=REMEDY)
    if document.get("version") not in READ[form]:
        raise DataError(
            f"{place} has version {document.get('version')!r}; this Pointsman reads versions "
            f"{' and '.join(map(str, READ[form]))}",
            remedy=REMEDY,
        )
    told = document.pop("sha256", None)
    if told != _sha256(_dump(document)) or raw != _dump(document | {"sha256": told}):
        raise DataError(f"{place} was altered after it was written", remedy=REMEDY)
    for name in ("about", "files", "finite"):
        if not isinstance(document.get(name), dict):
            raise DataError(f"{place} has no field {name}", remedy=REMEDY)
    return document


def _unaltered(place: Path, told: str) -> bytes:
    raw = _read(place)
    if _sha256(raw) != told:
        raise DataError(f"{place} was altered or cut short after it was written", remedy=REMEDY)
    return raw


def _read(place: Path) -> bytes:
    if place.is_symlink():
        raise DataError(f"{place} is a link; an artifact holds its own files", remedy=REMEDY)
    try:
        size = place.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{place} has {size:,} bytes; the limit is {MAX_BYTES:,}", remedy=REMEDY)
        return place.read_bytes()
    except OSError as error:
        raise DataError(f"{place} can't be read: {error.strerror}", remedy=REMEDY) from error


def _parse(raw: bytes, place: Path) -> dict[str, Any]:
    try:
        document = json.loads(raw, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is no JSON: {error}", remedy=REMEDY) from error
    if not isinstance(document, dict):
        raise DataError(f"{place} holds no object", remedy=REMEDY)
    return document


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not finite")
    return value


def _pack(arrays: Arrays) -> bytes:
    """An npz. `np.savez` would take the names `file` and `allow_pickle` for its own arguments."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
    return packed.getvalue()


def _unpack(raw: bytes, place: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an npz, in memory; each is checked by its header before it is read."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            if (size := sum(member.file_size for member in members)) > MAX_BYTES:
                raise DataError(
                    f"{place} would take {size:,} bytes; the limit is {MAX_BYTES:,}", remedy=REMEDY
                )
            for member in members:
                name = member.filename.removesuffix(".npy")
                if not _NAME.fullmatch(name) or name in arrays:
                    raise DataError(f"{place} holds an array of the name {member.filename!r}", remedy=REMEDY)
                arrays[name] = _array(archive.read(member), f"{place}: {name}")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, OSError, EOFError) as error:
        raise DataError(f"{place} can't be unpacked: {error}", remedy=REMEDY) from error
    return arrays


def _array(raw: bytes, place: str) -> NDArray[Any]:
    stream = io.BytesIO(raw)
    read_header = _HEADERS.get(np.lib.format.read_magic(stream))
    if read_header is None:
        raise DataError(f"{place} has an unknown header", remedy=REMEDY)
    shape, fortran, dtype = read_header(stream)
    wanted = math.prod(shape) * dtype.itemsize
    if dtype.kind not in _KINDS or wanted != len(raw) - stream.tell():
        raise DataError(
            f"{place} should have the shape {shape} of {dtype}, {wanted:,} bytes, and has "
            f"{len(raw) - stream.tell():,}",
            remedy=REMEDY,
        )
    flat = np.frombuffer(raw, dtype, offset=stream.tell())
    return flat.reshape(shape, order="F" if fortran else "C")


def _is_finite(array: NDArray[Any]) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _dump(document: Mapping[str, Any]) -> bytes:
    """Sorted keys, so that equal contents are equal bytes."""
    return (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _sha256(raw: bytes) -> str:
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
