from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.static import StaticTable
from pointsman.predict.features.surface import SURFACE_COLUMNS

TEXTS = ["What is 2 + 2?", "", "zxqv zxqv flumph", "\ud800 🚂 日本", "Why? " * 30_000]


@pytest.fixture(scope="module")
def hot() -> HotFeatures:
    return HotFeatures()


def test_the_embedding_has_length_one_or_is_nothing(hot: HotFeatures) -> None:
    lengths = np.linalg.norm(hot.encode(TEXTS)[:, len(SURFACE_COLUMNS) :], axis=1)
    assert lengths[[0, 2, 4]] == pytest.approx(1, abs=1e-5)
    assert lengths[1] == 0


def test_what_was_read_before_changes_nothing() -> None:
    fresh, used = HotFeatures(), HotFeatures()
    for start in range(0, 60_000, 1000):  # far more new words than are kept
        used.encode([" ".join(f"w{number}q" for number in range(start, start + 400))])
    assert (fresh.encode(TEXTS) == used.encode(TEXTS)).all()


def test_a_word_is_looked_at_to_its_24th_letter(hot: HotFeatures) -> None:
    start = "abcdefghijklmnopqrstuvwx"
    one, other = hot.rows([start + "y" * 50, start + "z" * 50]).grams
    assert one.tolist() == other.tolist()


def test_the_fingerprint_follows_the_vectors(hot: HotFeatures) -> None:
    table = StaticTable({"a": 0}, np.ones((1, 2), np.int8))
    other = StaticTable({"a": 0}, np.full((1, 2), 2, np.int8))
    prints = {made.fingerprint() for made in (hot, HotFeatures(table), HotFeatures(other))}
    assert len(prints) == 3
    assert HotFeatures().fingerprint() == hot.fingerprint()


def test_another_process_gives_the_same_numbers(hot: HotFeatures) -> None:
    program = (
        "import hashlib\n"
        "from pointsman.predict.features.hot import HotFeatures\n"
        "rows = HotFeatures().rows(['What is 2 + 2?', 'flumph \\U0001f682'])\n"
        "print(hashlib.sha256(rows.dense.tobytes()).hexdigest(), [g.tolist() for g in rows.grams])\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(said) == 1
    assert str([grams.tolist() for grams in hot.rows(["What is 2 + 2?", "flumph 🚂"]).grams]) in said.pop()
