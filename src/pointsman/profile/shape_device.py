"""Where shapes run: a CUDA GPU, or the CPU to try it. Needs torch: import it late."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from pointsman.errors import BadRequest, EngineError, MissingError
from pointsman.profile.machine import machine, package_version
from pointsman.profile.shape_model import Decoder, greedy, random_weights
from pointsman.profile.shape_runner import Timing
from pointsman.profile.shapes import Cell, Shape

GIB: Final = 2**30
DTYPES: Final = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}
SMALLER: Final = "Choose smaller shapes with --shape or shorter lengths, or another --device"


def open_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `cuda:N`.

    Raises: BadRequest for another name or a GPU that is not there, MissingError without any.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BadRequest(f"there is no device {name!r}", remedy="Give cpu, cuda or cuda:N") from error
    if device.type == "cpu":
        return torch.device("cpu")
    if device.type != "cuda":
        raise BadRequest(f"device {name!r} can't be metered", remedy="Give cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise MissingError(
            f"torch {torch.__version__} sees no CUDA GPU",
            remedy="Check nvidia-smi and that torch is a CUDA build; to try the command: "
            "--device cpu --shape tiny",
        )
    index = device.index or 0
    if index >= torch.cuda.device_count():
        raise BadRequest(
            f"there is no GPU {index}", remedy=f"Give cuda:0 to cuda:{torch.cuda.device_count() - 1}"
        )
    return torch.device("cuda", index)


def hardware(device: torch.device) -> dict[str, Any]:
    """The device in words, the machine, and the versions that matter."""
    versions = {"torch": str(torch.__version__)}
    for package in ("zeus", "nvidia-ml-py"):
        if found := package_version(package):
            versions[package] = found
    if device.type == "cpu":
        return {"device": "cpu", "threads": torch.get_num_threads(), **machine(), **versions}
    properties = torch.cuda.get_device_properties(device)
    return {
        "device": properties.name,
        "device_memory_gib": round(properties.total_memory / GIB, 1),
        "compute_capability": f"{properties.major}.{properties.minor}",
        "cuda": torch.version.cuda,
        **machine(),
        **versions,
    }


def loader(
    device: torch.device, dtype: torch.dtype, seed: int, now_s: Callable[[], float]
) -> Callable[[Shape, Iterable[Cell]], AbstractContextManager[_Loaded]]:
    """What `run_shapes` loads shapes with; equal seeds give equal weights and prompts."""

    @contextmanager
    def load(shape: Shape, cells: Iterable[Cell]) -> Iterator[_Loaded]:
        cells = tuple(cells)
        _check_memory(shape, cells, device, dtype)
        with _memory_errors(shape, "its weights"):
            weights = random_weights(shape, device, dtype, seed)
        decoder = Decoder(shape, weights, max(cell.positions for cell in cells))
        try:
            yield _Loaded(decoder, np.random.default_rng(seed), now_s)
        finally:
            weights.clear()  # the decoder shares this dictionary: its memory goes too
            if device.type == "cuda":
                torch.cuda.empty_cache()

    return load


class _Loaded:
    """A decoder with a source of prompts."""

    def __init__(self, decoder: Decoder, rng: np.random.Generator, now_s: Callable[[], float]) -> None:
        self._decoder = decoder
        self._rng = rng
        self._now_s = now_s

    def generate(self, cell: Cell) -> Timing:
        """Run random prompts. Raises: EngineError where memory does not suffice."""
        shape = self._decoder.shape
        ids = self._rng.integers(0, shape.vocabulary, (cell.batch, cell.input_tokens))
        with _memory_errors(shape, cell.id):
            prompts = torch.from_numpy(ids).to(self._decoder.device)
            _, timing = greedy(self._decoder, prompts, cell.output_tokens, self._now_s)
        return timing


@contextmanager
def _memory_errors(shape: Shape, what: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        # CUDA's allocator has an exception of its own; the CPU's says it in words.
        if not (isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)):
            raise
        raise EngineError(
            f"memory does not suffice for {what} of {shape.name}", endpoint=shape.name, remedy=SMALLER
        ) from error


def _check_memory(shape: Shape, cells: Iterable[Cell], device: torch.device, dtype: torch.dtype) -> None:
    """Raises EngineError where weights and the largest cache can't fit, before anything is allocated."""
    free = _free_bytes(device)
    needed = (shape.parameters + max(map(shape.cache_elements, cells))) * dtype.itemsize
    if free is not None and needed > free:
        raise EngineError(
            f"{shape.name} needs {needed / GIB:.1f} GiB for weights and cache; "
            f"{device} has {free / GIB:.1f} GiB free",
            endpoint=shape.name,
            remedy=SMALLER,
        )


def _free_bytes(device: torch.device) -> int | None:
    """None where the system does not say."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return int(free)
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("MemAvailable:")), None)
    return None if kib is None else int(kib) * 1024
