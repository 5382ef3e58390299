"""An artifact that was touched anywhere is refused: it never loads as something else and never crashes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.errors import DataError
from pointsman.predict.quality.bundle import Bundle

FILES = ("manifest.json", "model.json", "arrays.npz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "artifact"
    rng = np.random.default_rng(1)
    arrays = {"a": rng.random((5, 3)), "b/c": np.array(["x", "\u00e9"]), "gaps": np.array([1.0, np.nan])}
    Bundle({"created": "2026-01-01", "n": 3}, {"name": "m", "deep": {"x": [1, 2.5]}}, arrays).write(path)
    return path


@pytest.fixture(scope="module")
def touched(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("touched") / "artifact"
    shutil.copytree(whole, path)
    yield path
    shutil.rmtree(path)


@given(data=st.data())
def test_a_changed_byte_is_refused(whole: Path, touched: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    raw = bytearray((whole / name).read_bytes())
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    refused(whole, touched, name, bytes(raw))


@given(data=st.data())
def test_a_file_cut_or_continued_is_refused(whole: Path, touched: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(FILES))
    raw = (whole / name).read_bytes()
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    refused(whole, touched, name, data.draw(st.sampled_from([cut, raw + b" ", raw + raw])))


@given(data=st.data(), content=st.binary(max_size=200))
def test_anything_else_in_its_place_is_refused(
    whole: Path, touched: Path, data: st.DataObject, content: bytes
) -> None:
    refused(whole, touched, data.draw(st.sampled_from(FILES)), content)


def refused(whole: Path, touched: Path, name: str, raw: bytes) -> None:
    (touched / name).write_bytes(raw)
    with pytest.raises(DataError, match=r"Make it again with: pointsman train"):
        Bundle.read(touched)
    (touched / name).write_bytes((whole / name).read_bytes())
    assert Bundle.read(touched).about == {"created": "2026-01-01", "n": 3}
