"""Predictions from fitted profiles: tokens, time, energy, price, carbon and quality for each endpoint.

bytes of the prompt -> input tokens -> answer's length for its task, under its cap
-> time and energy at the running requests -> times the drift -> price, carbon
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from pointsman.errors import BadRequest
from pointsman.predict.artifact import FitArtifact
from pointsman.predict.bank import MAX_RUNNING, EndpointBank
from pointsman.predict.drift import ENERGY, TIME, Drift
from pointsman.predict.features.core_text import core_text
from pointsman.predict.length import QUANTILES
from pointsman.predict.model_profile import ModelProfile, default_profile
from pointsman.predict.quality.base import QualityForecast
from pointsman.predict.task import prompt_task
from pointsman.types import CostTable, Endpoint, Estimate, Floats, Prompt, Request
from pointsman.units import J_PER_KWH

if TYPE_CHECKING:
    from pointsman.predict.length.columns import EndpointLengths

PRIOR_PROMPT_BYTES: Final = 400
"""The prompt that `prior_row` stands for: about a hundred tokens."""

_SIGNS: Final = np.array([-1.0, 1.0])
_LOW_MEAN_HIGH: Final = np.zeros((QUANTILES, 3))
_LOW_MEAN_HIGH[:2, 0] = _LOW_MEAN_HIGH[-2:, 2] = 0.5
_LOW_MEAN_HIGH[:, 1] = 1.0 / QUANTILES


class ProfilePredictor:
    """Implements `Predictor` over a fixed list of endpoints; shares `drift` with a learner.

    Args:
        endpoints: in column order.
        artifact: fitted profiles, found by the endpoint's name, else by its model's name.
        grid_gco2e_per_kwh: intensity of the grid; None where it is not known (carbon is then NaN).
        drift: what a learner updates; a new one where none is given.
        lengths: of answers, learnt from texts; they stand before the profiles' and a quality model's.

    Attributes:
        provenance: endpoint -> one sentence on where its numbers are from; an endpoint without a fit
            has documented defaults without intervals, and says so.
        slow: a prediction takes milliseconds.
    """

    name: str = "profile"

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        artifact: FitArtifact | None = None,
        grid_gco2e_per_kwh: float | None = None,
        drift: Drift | None = None,
        lengths: EndpointLengths | None = None,
    ) -> None:
        if not endpoints:
            raise BadRequest("no endpoints to predict for", remedy="Add one to model_list")
        self.set_grid(grid_gco2e_per_kwh)
        self.endpoints = tuple(endpoint.name for endpoint in endpoints)
        self.profiles = tuple(_profile(endpoint, artifact) for endpoint in endpoints)
        self.drift = drift or Drift(len(endpoints))
        self._learned_lengths, self.slow = lengths, lengths is not None and lengths.slow
        told = {} if lengths is None else {name: (said,) for name, said in lengths.sentences.items()}
        self.provenance: Mapping[str, str] = MappingProxyType(
            {
                name: "; ".join([profile.provenance.sentence(), *told.get(name, ())])
                for name, profile in zip(self.endpoints, self.profiles, strict=True)
            }
        )
        self._bank = EndpointBank(self.profiles)
        self._index = np.arange(len(endpoints))
        self._usd_input = np.array([endpoint.usd_per_input_token for endpoint in endpoints])
        self._usd_output = np.array([[endpoint.usd_per_output_token] for endpoint in endpoints])
        limits = [endpoint.capabilities for endpoint in endpoints]
        self._cap = np.array([_or_infinite(limit.max_output_tokens) for limit in limits])
        self._context = np.array([_or_infinite(limit.context_tokens) for limit in limits])
        self._has_context = bool(np.isfinite(self._context).any())

    def set_grid(self, grid_gco2e_per_kwh: float | None) -> None:
        """Change the grid's intensity, g CO2e a kWh. Raises BadRequest if negative or not finite."""
        if grid_gco2e_per_kwh is not None and not 0 <= grid_gco2e_per_kwh < math.inf:
            raise BadRequest(
                f"a grid intensity of {grid_gco2e_per_kwh} g/kWh can't be used",
                remedy="Give a number from 0 up",
            )
        self._g_per_j = math.nan if grid_gco2e_per_kwh is None else grid_gco2e_per_kwh / J_PER_KWH

    def predict(
        self, requests: Sequence[Request], running: Sequence[int], learned: QualityForecast | None = None
    ) -> CostTable:
        """For R requests and E endpoints; see `Predictor`. About 40 microseconds for one request.

        Args:
            requests: as in `Predictor`.
            running: as in `Predictor`.
            learned: quality and answer lengths for these requests and endpoints; where a value is NaN,
                the profile's own stands.
        """
        if not requests:
            raise BadRequest("no requests to predict for", remedy="Give at least one")
        prompts = [request.prompt for request in requests]
        if self._learned_lengths is not None:
            learned = self._learned_lengths.joined(learned, [core_text(prompt.text) for prompt in prompts])
        return self.predict_sizes(
            [prompt_task(prompt.text) for prompt in prompts],
            np.array([_bytes(prompt) for prompt in prompts], dtype=np.float64),
            np.array([_or_infinite(request.max_tokens) for request in requests]),
            running,
            learned,
        )

    def predict_sizes(
        self,
        kinds: Sequence[str],
        size_bytes: Floats,
        cap_tokens: Floats,
        running: Sequence[int],
        learned: QualityForecast | None = None,
    ) -> CostTable:
        """For R prompts whose texts are not there; see `predict`.

        Args:
            kinds: what `prompt_task` says of each.
            size_bytes: shape (R,), of all that is sent.
            cap_tokens: shape (R,), the most that is answered; infinite where there is no limit.
            running: as in `Predictor`.
            learned: as in `predict`.
        """
        tasks = np.array([self._bank.task_row(kind) for kind in kinds])
        at_load = np.array([min(count, MAX_RUNNING) for count in running])
        return self._table(tasks, size_bytes, cap_tokens, at_load, learned=learned)

    def prior_row(self) -> CostTable:
        """What is expected of a request of which nothing is known, R = 1, marked `bypassed`.

        A prompt of `PRIOR_PROMPT_BYTES` bytes of no known task without a cap, on idle endpoints,
        without drift: constants only.
        """
        tasks = np.array([self._bank.task_row("chat")])
        idle = np.zeros(len(self.endpoints), dtype=np.int64)
        return self._table(
            tasks, np.array([float(PRIOR_PROMPT_BYTES)]), np.array([math.inf]), idle, bypassed=True
        )

    def _table(
        self, tasks: np.typing.NDArray[np.int64], size: Floats, cap: Floats,
        running: np.typing.NDArray[np.int64], *, bypassed: bool = False,
        learned: QualityForecast | None = None,
    ) -> CostTable:  # fmt: skip
        bank = self._bank
        inputs = np.maximum(bank.template_tokens + bank.per_byte * size[:, None], 1.0)
        lengths = self._lengths(tasks, inputs, cap, None if learned is None else learned.output_tokens)
        cost, low, high = self._costs(inputs, lengths, running, drifting=not bypassed)
        prior = bank.quality[tasks]
        quality = Estimate(prior[:, 0], prior[:, 1], prior[:, 2])
        if learned is not None:
            quality = _where_known(learned.quality, quality)
        price = (inputs * self._usd_input)[..., None] + lengths * self._usd_output
        energy, energy_low, energy_high = (part[..., ENERGY] for part in (cost, low, high))
        grams = self._g_per_j
        return CostTable(
            self.endpoints,
            inputs,
            quality,
            Estimate(lengths[..., 1], lengths[..., 0], lengths[..., 2]),
            Estimate(cost[..., TIME], low[..., TIME], high[..., TIME]),
            Estimate(energy, energy_low, energy_high),
            Estimate(price[..., 1], price[..., 0], price[..., 2]),
            Estimate(energy * grams, energy_low * grams, energy_high * grams),
            bypassed,
        )

    def _lengths(
        self, tasks: np.typing.NDArray[np.int64], inputs: Floats, cap: Floats, learned: Floats | None
    ) -> Floats:
        """Low, mean and high length of the answer, shape (R, E, 3); `learned` are curves or NaN."""
        bank = self._bank
        limit = np.minimum(cap[:, None], self._cap)
        if self._has_context:
            limit = np.maximum(np.minimum(limit, self._context - inputs), 1.0)
        curve = bank.curves[tasks]
        if bank.has_lines:
            line = np.maximum(bank.intercept_tokens + bank.slope * inputs, 1.0)
            curve = curve + line[..., None] * bank.line_ratios
        known = bank.length_known[:, None]
        if learned is not None:
            unknown = np.isnan(learned)
            curve = np.where(unknown, curve, learned)
            known = np.where(unknown[..., :1], known, 1.0)
        lengths: Floats = np.minimum(curve, limit[..., None]) @ _LOW_MEAN_HIGH
        if not bank.all_lengths_known:
            lengths[..., ::2] *= known
        return lengths

    def _costs(
        self, inputs: Floats, lengths: Floats, running: np.typing.NDArray[np.int64], *, drifting: bool
    ) -> tuple[Floats, Floats, Floats]:
        """Time and energy: value, low and high, each of shape (R, E, 2)."""
        bank = self._bank
        table = bank.tables[running, :, self._index]  # (E, A, 2, B)
        powers = table[:, -1]
        for power in range(table.shape[1] - 2, -1, -1):
            powers = powers * inputs[..., None, None] + table[:, power]
        cost = powers[..., -1:]  # (R, E, 2, 1), then with three lengths (R, E, 2, 3)
        for power in range(table.shape[3] - 2, -1, -1):
            cost = cost * lengths[:, :, None] + powers[..., power : power + 1]
        cost = np.maximum(cost, bank.floor)
        value = cost[..., 1]
        width = np.hypot(np.log(cost[..., ::2] / cost[..., 1:2]), bank.widths[running, self._index])
        width *= bank.scale
        correction = bank.correction(inputs, lengths[..., 1])
        if correction is not None:
            value = value * correction
        if drifting:
            value = value * self.drift.factor
            width *= self.drift.width[..., None]
        bounds = value[..., None] * np.exp(width * _SIGNS)
        return value, bounds[..., 0], bounds[..., 1]


def _where_known(one: Estimate, other: Estimate) -> Estimate:
    unknown = np.isnan(one.value)
    return Estimate(
        np.where(unknown, other.value, one.value),
        np.where(unknown, other.low, one.low),
        np.where(unknown, other.high, one.high),
    )


def _profile(endpoint: Endpoint, artifact: FitArtifact | None) -> ModelProfile:
    if artifact is not None:
        for name in (endpoint.name, endpoint.model, endpoint.upstream_model):
            found = artifact.find(name)
            if found is not None:
                return found
    return default_profile(endpoint.name)


def _bytes(prompt: Prompt) -> int:
    return prompt.total_bytes or len(prompt.text.encode("utf-8", "surrogatepass")) + prompt.history_bytes


def _or_infinite(tokens: int | None) -> float:
    return math.inf if tokens is None else float(tokens)
