"""A decoder-only transformer of any `Shape` in plain torch, with a cache of keys and values.

Rotary positions, grouped-query attention by `scaled_dot_product_attention`, greedy decoding. The query,
key and value matrices are one, as are gate and up, as engines do it. Needs torch: import it late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - its customary name

from pointsman.profile.shape_runner import Timing
from pointsman.profile.shapes import Shape, tensor_sizes

ROTARY_BASE: Final = 10_000.0
EPSILON: Final = 1e-5


class Decoder:
    """Computes next-token logits.

    Args:
        shape: what it looks like.
        weights: a tensor for each name of `tensor_sizes`, all of one dtype on one device.
        positions: the longest sequence it will see.
    """

    def __init__(self, shape: Shape, weights: Mapping[str, torch.Tensor], positions: int) -> None:
        self.shape = shape
        self._weights = weights
        self._layers = [f"layer{index}." for index in range(shape.layers)]
        embedding = weights["embedding"]
        self.device, self.dtype = embedding.device, embedding.dtype
        steps = torch.arange(0, shape.head_width, 2, dtype=torch.float32, device=self.device)
        angles = torch.outer(
            torch.arange(positions, dtype=torch.float32, device=self.device),
            ROTARY_BASE ** (-steps / shape.head_width),
        )
        self._cos, self._sin = angles.cos().to(self.dtype), angles.sin().to(self.dtype)

    def empty_cache(self, batch: int, positions: int) -> torch.Tensor:
        """Room for keys and values, shape (2, layers, batch, kv_heads, positions, head_width)."""
        shape = self.shape
        size = (2, shape.layers, batch, shape.kv_heads, positions, shape.head_width)
        return torch.empty(size, dtype=self.dtype, device=self.device)

    def forward(self, tokens: torch.Tensor, cache: torch.Tensor, start: int) -> torch.Tensor:
        """Logits of the last position, shape (batch, vocabulary); writes the cache.

        Args:
            tokens: ids of shape (batch, n): a whole prompt, then one at a time.
            cache: of `empty_cache`, filled up to `start`.
            start: the position of the first of them; 0 for the prompt.
        """
        assert start == 0 or tokens.shape[1] == 1, "after the prompt, tokens come one at a time"
        x = F.embedding(tokens, self._weights["embedding"])
        for index, layer in enumerate(self._layers):
            normed = self._norm(x, layer + "norm")
            attended = self._attention(normed, layer, cache[:, index], start)
            if self.shape.parallel:
                x = x + attended + self._mlp(normed, layer)
            else:
                x = x + attended
                x = x + self._mlp(self._norm(x, layer + "mlp_norm"), layer)
        return F.linear(self._norm(x[:, -1], "norm"), self._weights["head"])

    def _attention(self, x: torch.Tensor, layer: str, cache: torch.Tensor, start: int) -> torch.Tensor:
        shape, (batch, n, _) = self.shape, x.shape
        heads = F.linear(x, self._weights[layer + "qkv"]).view(batch, n, -1, shape.head_width).transpose(1, 2)
        query, key, value = torch.split(heads, [shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        end = start + n
        cache[0, :, :, start:end] = self._rotated(key, start, end)
        cache[1, :, :, start:end] = value
        attended = F.scaled_dot_product_attention(
            self._rotated(query, start, end),
            cache[0, :, :, :end],
            cache[1, :, :, :end],
            is_causal=n > 1,
            enable_gqa=shape.heads != shape.kv_heads,
        )
        return F.linear(attended.transpose(1, 2).reshape(batch, n, -1), self._weights[layer + "out"])

    def _mlp(self, x: torch.Tensor, layer: str) -> torch.Tensor:
        inner = F.linear(x, self._weights[layer + "up"])
        if self.shape.gated:
            gate, up = inner.chunk(2, dim=-1)
            inner = F.silu(gate) * up
        else:
            inner = F.gelu(inner)
        return F.linear(inner, self._weights[layer + "down"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        weight = self._weights[name + ".weight"]
        if self.shape.layer_norm:
            return F.layer_norm(x, weight.shape, weight, self._weights[name + ".bias"], EPSILON)
        return F.rms_norm(x, weight.shape, weight, EPSILON)

    def _rotated(self, x: torch.Tensor, start: int, end: int) -> torch.Tensor:
        cos, sin = self._cos[start:end], self._sin[start:end]
        left, right = x.chunk(2, dim=-1)
        return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def greedy(
    decoder: Decoder, prompts: torch.Tensor, output_tokens: int, now_s: Callable[[], float]
) -> tuple[list[list[int]], Timing]:
    """Answer a batch of prompts with the likeliest token at each step; no answer ends early.

    Args:
        decoder: for at least n + output_tokens - 1 positions.
        prompts: ids of shape (batch, n), n at least 1.
        output_tokens: at least 1.
        now_s: a monotonic clock, which runs from before the prompt's pass; the cache is made earlier.

    Returns: ids of shape (batch, output_tokens), and the times.
    """
    batch, n = prompts.shape
    cache = decoder.empty_cache(batch, n + output_tokens - 1)
    with torch.inference_mode():
        begin_s = now_s()
        tokens = decoder.forward(prompts, cache, 0).argmax(-1, keepdim=True)
        answers: list[list[int]] = tokens.tolist()  # waits for the device, as giving a token out does
        ttft_s = now_s() - begin_s
        for start in range(n, n + output_tokens - 1):
            tokens = decoder.forward(tokens, cache, start).argmax(-1, keepdim=True)
            for answer, token in zip(answers, tokens.tolist(), strict=True):
                answer.extend(token)
        return answers, Timing(ttft_s, now_s() - begin_s)


def random_weights(
    shape: Shape, device: torch.device, dtype: torch.dtype, seed: int
) -> dict[str, torch.Tensor]:
    """Normal weights made on the device, scaled so that activations keep their size; norms are neutral."""
    generator = torch.Generator(device).manual_seed(seed)
    weights = {
        name: torch.empty(size, dtype=dtype, device=device) for name, size in tensor_sizes(shape).items()
    }
    for name, tensor in weights.items():
        if tensor.dim() == 1:
            tensor.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            tensor.normal_(0.0, tensor.shape[-1] ** -0.5, generator=generator)
    return weights
