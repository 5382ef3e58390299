"""Every kind of cost model as one polynomial in the token counts, so that many are computed at once.

    cost = correction * sum over a, b of T[a, b] in^a out^b          a = 0..2, b = 0..3

The part without `out` is what the prompt costs, the rest what decoding costs; load acts on each.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pointsman.errors import InternalError
from pointsman.predict.base import CostModel
from pointsman.predict.cost import OlsCost, ShapeCost
from pointsman.predict.refined import RefinedCost
from pointsman.types import Floats

SHAPE: Final = (3, 4)
_MONOMIALS: Final[dict[str, tuple[tuple[int, int, float], ...]]] = {
    "1": ((0, 0, 1.0),),
    "in": ((1, 0, 1.0),),
    "out": ((0, 1, 1.0),),
    "in*out": ((1, 1, 1.0),),
    "out*(in+out/2)": ((1, 1, 1.0), (0, 2, 0.5)),
    "((in+out)^3-in^3)/3": ((2, 1, 1.0), (1, 2, 1.0), (0, 3, 1.0 / 3.0)),
}


def polynomial(model: CostModel) -> Floats:
    """T of shape (3, 4). Raises InternalError for a kind that is no such polynomial."""
    if not isinstance(model, OlsCost | ShapeCost | RefinedCost):
        raise InternalError(f"cost model {model.name!r} is no polynomial in the token counts")
    table = np.zeros(SHAPE)
    for term, coefficient in zip(model.terms, model.coefficients, strict=True):
        for power_in, power_out, factor in _MONOMIALS[term]:
            table[power_in, power_out] += factor * coefficient
    return table


def sides(model: CostModel, input_tokens: Floats, output_tokens: Floats) -> tuple[Floats, Floats]:
    """What the prompt and what decoding cost; their sum is `model.predict`."""
    table = polynomial(model)
    powers = np.stack([np.ones_like(input_tokens), input_tokens, input_tokens**2], axis=-1) @ table
    prompt = powers[..., 0]
    decoding = (
        (powers[..., 3] * output_tokens + powers[..., 2]) * output_tokens + powers[..., 1]
    ) * output_tokens
    if isinstance(model, RefinedCost):
        factor = model.correction(input_tokens, output_tokens)
        return prompt * factor, decoding * factor
    return prompt, decoding
