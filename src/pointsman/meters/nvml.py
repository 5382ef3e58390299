"""GPU energy from NVML's total energy counter, read through Zeus (the `gpu` extra).

Source: Zeus (https://ml.energy/zeus), `zeus.device.get_gpus`, 0.13 or later. The counter exists since
the Volta generation; the driver renews it some ten to a hundred milliseconds apart, so read it over
spans well above that. It covers the whole board, idle power and other processes included.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast

from pointsman.errors import ConfigError, MissingError

INSTALL: Final = "Run: pip install 'pointsman[gpu]'"


class Gpus(Protocol):
    """The part of `zeus.device.gpu.GPUs` that is used; indices as CUDA_VISIBLE_DEVICES leaves them."""

    def __len__(self) -> int:
        """Number of GPUs."""
        ...

    def get_name(self, gpu_index: int) -> str:
        """The product's name."""
        ...

    def supports_get_total_energy_consumption(self, gpu_index: int) -> bool:
        """Whether there is a counter."""
        ...

    def get_total_energy_consumption(self, gpu_index: int) -> int:
        """Millijoules since the driver was loaded."""
        ...


class NvmlMeter:
    """Counts joules of chosen GPUs since the meter was made.

    Args:
        gpu_indices: which GPUs; None: all that are visible.
        gpus: where the counters are read; None: Zeus.

    Raises:
        MissingError: Zeus is not installed, there is no NVIDIA GPU or it has no energy counter.
        ConfigError: an index that no GPU has, or none chosen.
    """

    name = "nvml"
    modelled = False

    def __init__(self, gpu_indices: Sequence[int] | None = None, *, gpus: Gpus | None = None) -> None:
        self._gpus = gpus if gpus is not None else zeus_gpus()
        self._indices = _chosen(gpu_indices, len(self._gpus))
        for index in self._indices:
            if not self._gpus.supports_get_total_energy_consumption(index):
                raise MissingError(
                    f"GPU {index} ({self._gpus.get_name(index)}) has no energy counter",
                    remedy="NVML counts energy since Volta; use an external meter",
                )
        self._last_mj = self._read_mj()
        self._total_mj = 0
        self._closed = False
        names = ", ".join(f"{index} ({self._gpus.get_name(index)})" for index in self._indices)
        self.description = f"measured by NVML through Zeus: GPU {names}; the whole board, idle power included"

    def read_j(self) -> float:
        """Joules since the meter was made; after `close` the last value. Raises MissingError."""
        if not self._closed:
            now_mj = self._read_mj()
            # The counter starts again at 0 when the driver is reloaded; what came before is kept.
            self._total_mj += sum(max(0, now - last) for now, last in zip(now_mj, self._last_mj, strict=True))
            self._last_mj = now_mj
        return self._total_mj / 1e3

    def close(self) -> None:
        """Stop counting; the last value stays readable. Zeus shares one NVML handle, so it stays open."""
        self._closed = True

    def _read_mj(self) -> list[int]:
        try:
            return [int(self._gpus.get_total_energy_consumption(index)) for index in self._indices]
        except Exception as error:
            # Zeus's error tree can't be named without the extra; whatever it is, the counter went away.
            raise MissingError(
                f"the energy counter of GPU {self._indices} can't be read: {error}",
                remedy="Check the driver with nvidia-smi",
            ) from error


def zeus_gpus() -> Gpus:
    """The NVIDIA GPUs that Zeus sees. Raises MissingError without the extra or without one."""
    try:
        from zeus.device.gpu import NVIDIAGPUs, get_gpus
        from zeus.exception import ZeusBaseError
    except ImportError as error:
        raise MissingError(f"Zeus can't be loaded: {error}", remedy=INSTALL) from error
    try:
        gpus = get_gpus()
    except (ZeusBaseError, ImportError, ValueError) as error:
        raise MissingError(
            f"Zeus can read no GPU: {str(error).rstrip('.')}",
            remedy="Check the driver with nvidia-smi and CUDA_VISIBLE_DEVICES",
        ) from error
    if not isinstance(gpus, NVIDIAGPUs):
        raise MissingError("Zeus found GPUs, but none of NVIDIA", remedy="Use an external meter")
    return cast("Gpus", gpus)


def _chosen(gpu_indices: Sequence[int] | None, n_gpus: int) -> tuple[int, ...]:
    if n_gpus == 0:
        raise MissingError("Zeus sees no GPU", remedy="Check nvidia-smi and CUDA_VISIBLE_DEVICES")
    chosen = tuple(dict.fromkeys(range(n_gpus) if gpu_indices is None else gpu_indices))
    if not chosen:
        raise ConfigError("no GPU was chosen", remedy=f"Give indices from 0 to {n_gpus - 1}")
    for index in chosen:
        if not 0 <= index < n_gpus:
            raise ConfigError(f"there is no GPU {index}", remedy=f"Give indices from 0 to {n_gpus - 1}")
    return chosen
