"""Shapes of known models, and the grid of requests that a shape is measured on.

Time and energy of a decoder follow its shape, not the values of its weights: the same bytes move
through the same kernels. So a shape with random weights is measured in place of the model. Its answers
mean nothing and are not kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Final

from pointsman.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the work of a decoder-only transformer.

    Attributes:
        hidden: width of the residual stream; `heads` divide it into heads of even width.
        kv_heads: heads of keys and values, each shared by heads/kv_heads query heads.
        intermediate: width inside the MLP.
        window_tokens: positions that a token may attend to; no cell is longer.
        source: where the numbers are from.
        gated: the MLP is SiLU(gate) * up, else GELU(up).
        parallel: attention and MLP read the same normed input, as in Falcon; else one after the other.
        layer_norm: LayerNorm with bias; else RMSNorm.
    """

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    window_tokens: int
    source: str
    gated: bool = True
    parallel: bool = False
    layer_norm: bool = False

    @property
    def head_width(self) -> int:
        """Elements of one head."""
        return self.hidden // self.heads

    @property
    def parameters(self) -> int:
        """How many there are, the output head counted apart from the embedding."""
        return sum(prod(size) for size in tensor_sizes(self).values())

    def cache_elements(self, cell: Cell) -> int:
        """Keys and values that a cell keeps."""
        return 2 * self.layers * self.kv_heads * self.head_width * cell.batch * cell.positions


def tensor_sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Every weight tensor by name; matrices are (out, in)."""
    norms = ("weight", "bias") if shape.layer_norm else ("weight",)
    qkv = (shape.heads + 2 * shape.kv_heads) * shape.head_width
    up = shape.intermediate * (2 if shape.gated else 1)
    sizes: dict[str, tuple[int, ...]] = {
        "embedding": (shape.vocabulary, shape.hidden),
        "head": (shape.vocabulary, shape.hidden),
        **{f"norm.{part}": (shape.hidden,) for part in norms},
    }
    for layer in range(shape.layers):
        at = f"layer{layer}."
        sizes |= {f"{at}norm.{part}": (shape.hidden,) for part in norms}
        sizes[at + "qkv"] = (qkv, shape.hidden)
        sizes[at + "out"] = (shape.hidden, shape.heads * shape.head_width)
        if not shape.parallel:
            sizes |= {f"{at}mlp_norm.{part}": (shape.hidden,) for part in norms}
        sizes[at + "up"] = (up, shape.hidden)
        sizes[at + "down"] = (shape.hidden, shape.intermediate)
    return sizes


SHAPES: Final = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            Shape(
                "phi-3-mini-4k-instruct", 32, 3072, 32, 32, 8192, 32064, 2047,
                "config.json of microsoft/Phi-3-mini-4k-instruct on Hugging Face; 3.8B",
            ),
            Shape(
                "mistral-7b-instruct", 32, 4096, 32, 8, 14336, 32000, 4096,
                "config.json of mistralai/Mistral-7B-Instruct-v0.1 on Hugging Face; 7.2B",
            ),
            Shape(
                "falcon-7b-instruct", 32, 4544, 71, 1, 4 * 4544, 65024, 2048,
                "config.json of tiiuae/falcon-7b-instruct on Hugging Face; 7.2B with the output head counted apart",
                gated=False, parallel=True, layer_norm=True,
            ),
            Shape("tiny", 2, 64, 4, 2, 128, 512, 4096, "ours, of no model: tries the command without a GPU"),
        )
    }
)  # fmt: skip
ORIGINALS: Final = ("phi-3-mini-4k-instruct", "mistral-7b-instruct", "falcon-7b-instruct")
"""The three models of the energy, time and correctness aware scheduler's publication."""


def lookup(name: str) -> Shape:
    """The shape of that name. Raises: BadRequest, naming those there are."""
    if name not in SHAPES:
        raise BadRequest(f"there is no shape {name!r}", remedy=f"Choose one of {', '.join(SHAPES)}")
    return SHAPES[name]


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """`batch` requests run as one batch, each of the same lengths."""

    input_tokens: int
    output_tokens: int
    batch: int

    @property
    def id(self) -> str:
        """The prompt id of its row."""
        return f"in{self.input_tokens}-out{self.output_tokens}-x{self.batch}"

    @property
    def positions(self) -> int:
        """Positions that pass through the model; the last token generated does not."""
        return self.input_tokens + self.output_tokens - 1


@dataclass(frozen=True, slots=True)
class Stage:
    """Cells measured on one shape without unloading it.

    Attributes: again: they were measured before, in an earlier stage; this time is for drift.
    """

    shape: Shape
    cells: tuple[Cell, ...]
    again: bool = False


def grid(
    shape: Shape, input_tokens: Iterable[int], output_tokens: Iterable[int], batches: Iterable[int]
) -> list[Cell]:
    """Every combination that the shape's window holds, without duplicates, in rising order."""
    cells = {Cell(*lengths) for lengths in product(input_tokens, output_tokens, batches)}
    return sorted(cell for cell in cells if cell.positions <= shape.window_tokens)


def stages(
    shapes: Sequence[Shape], cells: Sequence[Sequence[Cell]], repeats: int, seed: int
) -> Iterator[Stage]:
    """The order of a run: each shape's cells shuffled, then `repeats` of them again.

    The repeats come after all shapes were measured once, so that they tell of another time; the shapes
    come in the opposite order. Equal arguments give equal stages.
    """
    shuffled = [
        (shape, random.Random(f"{seed} {shape.name}").sample(part, len(part)))  # noqa: S311 - an order
        for shape, part in zip(shapes, cells, strict=True)
    ]
    for shape, part in shuffled:
        yield Stage(shape, tuple(part))
    for shape, part in reversed(shuffled):
        yield Stage(shape, tuple(part[:repeats]), again=True)
