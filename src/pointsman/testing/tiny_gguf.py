"""A real GGUF model of 115 KB with random weights, so that tests run the real llama.cpp at once.

It answers in nonsense letters, but loads, tokenizes, batches, streams and counts as any model does.
Format: the GGUF specification, version 3; architecture `llama` with one layer.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

EMBEDDING = 32
HEADS = 2
FEED_FORWARD = 64
CONTEXT_TOKENS = 4096
ALIGNMENT = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz "
LETTER_SCALE = 10.0
SPECIAL = ("<unk>", "<s>", "</s>")
TYPE_UNKNOWN, TYPE_CONTROL, TYPE_BYTE = 2, 3, 6
U32, I32, F32, STRING, ARRAY = 4, 5, 6, 8, 9
CHAT_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant: "


def write_tiny_gguf(path: Path, seed: int = 0) -> Path:
    """Write the model to `path` and return it; equal seeds give equal files."""
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    tensors = _tensors(len(tokens), np.random.default_rng(seed))
    infos, data = b"", b""
    for name, values in tensors.items():
        infos += _string(name) + struct.pack("<I", values.ndim)
        infos += b"".join(struct.pack("<Q", size) for size in reversed(values.shape))
        infos += struct.pack("<IQ", 0, len(data))
        data += _padded(values.astype("<f4").tobytes())
    fields = _metadata(tokens)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields)) + b"".join(fields) + infos
    path.write_bytes(_padded(head) + data)
    return path


def _tensors(n_tokens: int, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    def matrix(rows: int, columns: int) -> NDArray[np.float64]:
        return rng.normal(0, columns**-0.5, (rows, columns))

    output = np.zeros((n_tokens, EMBEDDING))
    spoken = [len(SPECIAL) + ord(letter) for letter in LETTERS]  # answers are valid UTF-8
    output[spoken] = matrix(len(spoken), EMBEDDING) * LETTER_SCALE
    return {
        "token_embd.weight": rng.normal(0, 1, (n_tokens, EMBEDDING)),
        "output_norm.weight": np.ones(EMBEDDING),
        "output.weight": output,
        "blk.0.attn_norm.weight": np.ones(EMBEDDING),
        "blk.0.attn_q.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_k.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_v.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_output.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.ffn_norm.weight": np.ones(EMBEDDING),
        "blk.0.ffn_gate.weight": matrix(FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_up.weight": matrix(FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_down.weight": matrix(EMBEDDING, FEED_FORWARD),
    }


def _metadata(tokens: list[str]) -> list[bytes]:
    types = [TYPE_UNKNOWN, TYPE_CONTROL, TYPE_CONTROL] + [TYPE_BYTE] * (len(tokens) - len(SPECIAL))
    return [
        _field("general.architecture", STRING, "llama"),
        _field("general.name", STRING, "tiny"),
        _field("llama.context_length", U32, CONTEXT_TOKENS),
        _field("llama.embedding_length", U32, EMBEDDING),
        _field("llama.block_count", U32, 1),
        _field("llama.feed_forward_length", U32, FEED_FORWARD),
        _field("llama.attention.head_count", U32, HEADS),
        _field("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        _field("llama.rope.dimension_count", U32, EMBEDDING // HEADS),
        _field("tokenizer.ggml.model", STRING, "llama"),
        _array("tokenizer.ggml.tokens", STRING, tokens),
        _array("tokenizer.ggml.scores", F32, [0.0] * len(tokens)),
        _array("tokenizer.ggml.token_type", I32, types),
        _field("tokenizer.ggml.unknown_token_id", U32, 0),
        _field("tokenizer.ggml.bos_token_id", U32, 1),
        _field("tokenizer.ggml.eos_token_id", U32, 2),
        _field("tokenizer.chat_template", STRING, CHAT_TEMPLATE),
    ]


def _field(key: str, kind: int, value: Any) -> bytes:
    return _string(key) + struct.pack("<I", kind) + _value(kind, value)


def _array(key: str, kind: int, values: list[Any]) -> bytes:
    head = _string(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
    return head + b"".join(_value(kind, value) for value in values)


def _value(kind: int, value: Any) -> bytes:
    if kind == STRING:
        return _string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f"}[kind], value)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _padded(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % ALIGNMENT)
