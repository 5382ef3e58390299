"""Unit conversions. A name carries its unit: `_s`, `_j`, `_w`, `_tokens`, `_usd`, `_gco2e`."""

from __future__ import annotations

J_PER_KWH = 3.6e6
TOKENS_PER_MILLION = 1e6


def kwh(energy_j: float) -> float:
    """Energy in kilowatt-hours."""
    return energy_j / J_PER_KWH


def gco2e(energy_j: float, grid_gco2e_per_kwh: float) -> float:
    """Grams of CO2-equivalent of `energy_j` joules at a grid intensity in g/kWh."""
    return energy_j / J_PER_KWH * grid_gco2e_per_kwh


def price_usd(
    input_tokens: float, output_tokens: float, usd_per_input_token: float, usd_per_output_token: float
) -> float:
    """Price of one request in dollars."""
    return input_tokens * usd_per_input_token + output_tokens * usd_per_output_token
