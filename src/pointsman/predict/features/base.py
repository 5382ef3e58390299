"""What turns a prompt's text into numbers a quality model can use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Encoding = NDArray[np.float32]
"""Dense features of R texts, shape (R, width)."""


class TextEncoder(Protocol):
    """Dense features of texts. Knows no endpoint and no label, and needs no network."""

    @property
    def name(self) -> str:
        """A short name, unique among the encoders in use."""
        ...

    @property
    def width(self) -> int:
        """Columns of an encoding."""
        ...

    def encode(self, texts: Sequence[str]) -> Encoding:
        """Encode R texts, shape (R, width), finite; any text can be encoded, the empty one too.

        A text's row is the same in any batch, in any process. Changes nothing that can be seen.
        """
        ...

    def fingerprint(self) -> str:
        """A hash of weights and settings: equal ones encode equally. An artifact refuses another one."""
        ...
