"""What a directory of fitted numbers may hold, and how it is written."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointsman.errors import BadRequest, DataError
from pointsman.predict.quality import bundle as module
from pointsman.predict.quality.bundle import Bundle

MADE = Bundle(
    {"created": "2026-01-01"},
    {"name": "m", "scale": 0.1},
    {
        "a": np.arange(6.0).reshape(2, 3),
        "in.fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "names/of": np.array(["x", "\u4e16"]),
        "none": np.zeros((0, 4)),
        "gaps": np.array([np.nan, np.inf]),
        "file": np.array([1], dtype=np.uint8),
        "allow_pickle": np.array([True]),
    },
)


def npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, raw)
    return stream.getvalue()


def npy(array: np.ndarray[Any, Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def sign(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
    """Make the hashes right again after a change, as one who means harm would."""
    place = path / "manifest.json"
    document = json.loads(place.read_bytes())
    del document["sha256"]
    for name in ("model.json", "arrays.npz"):
        document["files"][name] = "sha256:" + hashlib.sha256((path / name).read_bytes()).hexdigest()
    change(document)
    dump = lambda value: (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()  # noqa: E731
    document["sha256"] = "sha256:" + hashlib.sha256(dump(document)).hexdigest()
    place.write_bytes(dump(document))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    MADE.write(tmp_path / "artifact")
    return tmp_path / "artifact"


def test_what_is_read_is_what_was_written(path: Path) -> None:
    read = Bundle.read(path)
    assert (read.about, read.model) == (MADE.about, MADE.model)
    assert list(read.arrays) == list(MADE.arrays)
    for name, array in MADE.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)
        assert read.arrays[name].dtype == array.dtype
        assert not read.arrays[name].flags.writeable


def test_equal_contents_are_equal_bytes(path: Path, tmp_path: Path) -> None:
    MADE.write(tmp_path / "again")
    for name in ("manifest.json", "model.json", "arrays.npz"):
        assert (path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_an_older_artifact_is_replaced_and_nothing_is_left_beside_it(path: Path) -> None:
    Bundle({"n": 2}, {}, {}).write(path)
    assert Bundle.read(path).about == {"n": 2}
    assert [child.name for child in path.parent.iterdir()] == ["artifact"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_artifact_is_not_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "mine"
    if kind == "file":
        place.write_text("mine")
    else:
        place.mkdir()
        (place / "thesis.txt").write_text("mine")
        (place / "manifest.json").write_text("{}")
    with pytest.raises(BadRequest, match="is no artifact of Pointsman"):
        MADE.write(place)
    assert "mine" in (place if kind == "file" else place / "thesis.txt").read_text()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder"):
        Bundle.read(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["manifest.json", "model.json", "arrays.npz"])
def test_a_missing_file_and_a_link_are_refused(path: Path, name: str) -> None:
    (path / name).rename(path.parent / "elsewhere")
    with pytest.raises(DataError, match=rf"{name} can't be read: No such file"):
        Bundle.read(path)
    (path / name).symlink_to(path.parent / "elsewhere")
    with pytest.raises(DataError, match=rf"{name} is a link"):
        Bundle.read(path)


def test_another_version_and_another_format_say_so(path: Path) -> None:
    sign(path, lambda document: document.update(version=1))
    with pytest.raises(DataError, match=r"version 1; this Pointsman reads versions 2 and 3"):
        Bundle.read(path)
    sign(path, lambda document: document.update(format="other"))
    with pytest.raises(DataError, match="format 'other'"):
        Bundle.read(path)


@pytest.mark.parametrize("field", ["about", "files", "finite"])
def test_a_manifest_without_a_field_is_refused(path: Path, field: str) -> None:
    sign(path, lambda document: document.pop(field))
    with pytest.raises(DataError, match=f"no field {field}"):
        Bundle.read(path)


def test_a_manifest_that_names_other_files_is_refused(path: Path) -> None:
    sign(path, lambda document: document["files"].update({"../../etc/passwd": "sha256:"}))
    with pytest.raises(DataError, match="names the files"):
        Bundle.read(path)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (npz(**{"../../x.npy": npy(np.zeros(1))}), "an array of the name"),
        (npz(**{"/x.npy": npy(np.zeros(1))}), "an array of the name"),
        (npz(**{"a.npy": npy(np.zeros(1)), "a": npy(np.zeros(1))}), "an array of the name 'a'"),
        (npz(**{"a.npy": npy(np.array([{}], dtype=object))}), "should have the shape"),
        (npz(**{"a.npy": npy(np.zeros(2, dtype="f8,f8"))}), "should have the shape"),
        (npz(**{"a.npy": npy(np.zeros(9))[:-8]}), r"72 bytes, and has\s+64"),
        (
            npz(**{"a.npy": npy(np.zeros(1)).replace(b"(1,), }", b"(9999999999,), }")}),
            "can't be unpacked|should have the shape",
        ),
        (npz(**{"a.npy": b"\x93NUMPY\x07\x00"}), "unknown header|can't be unpacked"),
        (npz(**{"a.npy": b"hello"}), "can't be unpacked"),
        (b"no zip", "can't be unpacked"),
    ],
)
def test_arrays_that_mean_harm_are_refused_though_their_hash_is_right(
    path: Path, raw: bytes, why: str
) -> None:
    (path / "arrays.npz").write_bytes(raw)
    sign(path)
    with pytest.raises(DataError, match=why):
        Bundle.read(path)


def test_absurd_sizes_are_refused_before_memory_is_given_to_them(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(100_000)))
    (path / "arrays.npz").write_bytes(stream.getvalue())
    sign(path)
    monkeypatch.setattr(module, "MAX_BYTES", 100_000)
    with pytest.raises(DataError, match=r"would take 800,128 bytes; the limit is 100,000"):
        Bundle.read(path)
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(DataError, match=r"bytes; the limit is 100"):
        Bundle.read(path)


def test_nan_where_numbers_were_is_refused(path: Path) -> None:
    arrays = dict(MADE.arrays) | {"a": np.full((2, 3), np.nan)}
    raw = npz(**{f"{name}.npy": npy(array) for name, array in arrays.items()})
    (path / "arrays.npz").write_bytes(raw)
    sign(path)
    with pytest.raises(DataError, match="holds NaN or other arrays"):
        Bundle.read(path)


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity"])
def test_numbers_beyond_any_float_are_refused(path: Path, number: bytes) -> None:
    place = path / "model.json"
    place.write_bytes(place.read_bytes().replace(b"0.1", number))
    sign(path)
    with pytest.raises(DataError, match="is not finite"):
        Bundle.read(path)


def test_json_nested_too_deep_is_refused(path: Path) -> None:
    (path / "model.json").write_bytes(b"[" * 100_000)
    sign(path)
    with pytest.raises(DataError, match="is no JSON"):
        Bundle.read(path)
