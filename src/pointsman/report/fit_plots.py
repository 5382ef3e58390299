"""Pictures of a fit: how far held-out predictions lie from what was measured, and how that drifts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from pointsman.errors import MissingError
from pointsman.predict.drift import HALF_LIFE_REQUESTS, NOMINAL
from pointsman.predict.model_profile import ModelProfile
from pointsman.predict.profile_rows import ProfileRows
from pointsman.report.fit_report import HeldOut, follow_drift

_LABELS: Final = {"time_s": "time (s)", "energy_j": "energy (J)", "output_tokens": "answer length (tokens)"}
_POINT, _LINE, _GUIDE = "#3b6ea5", "#c44e52", "#444444"
_TOO_MANY: Final = 4000


def save_fit_plots(
    folder: Path, profile: ModelProfile, rows: ProfileRows, held: Sequence[HeldOut]
) -> tuple[Path, ...]:
    """Two figures, each as PNG and SVG; creates the folder. Raises MissingError without matplotlib."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", profile.endpoint)
    written: list[Path] = []
    for name, figure in (
        ("residuals", residual_figure(profile, held)),
        ("drift", drift_figure(profile, rows, held)),
    ):
        for suffix in ("png", "svg"):
            path = folder / f"fit_{name}_{stem}.{suffix}"
            figure.savefig(path, dpi=150)
            written.append(path)
    return tuple(written)


def residual_figure(profile: ModelProfile, held: Sequence[HeldOut]) -> Any:
    """Measured against predicted for each quantity, with bands of 10% and the share inside intervals."""
    figure = _figure(4.6 * len(held), 5.0)
    for place, part in enumerate(held, start=1):
        axes = figure.add_subplot(1, len(held), place)
        known = part.known_tokens if np.isfinite(part.known_tokens).all() else part.arrival
        at = _thin(len(known))
        axes.scatter(known[at], part.measured[at], s=7, alpha=0.35, color=_POINT, edgecolors="none")
        ends = np.array([min(known.min(), part.measured.min()), max(known.max(), part.measured.max())])
        axes.plot(ends, ends, color=_GUIDE, linewidth=1)
        axes.fill_between(
            ends, 0.9 * ends, 1.1 * ends, color=_GUIDE, alpha=0.12, linewidth=0, label="within 10%"
        )
        axes.set_xscale("log")
        axes.set_yscale("log")
        _plain_ticks(axes.xaxis, axes.yaxis)
        how = "from true token counts" if known is part.known_tokens else "at arrival"
        axes.set_xlabel(f"predicted {_label(profile, part)}, {how}")
        axes.set_ylabel(f"measured {_label(profile, part)}")
        values = part.figures()
        axes.set_title(
            f"MAPE {values['mape']:.1%}, coverage {values['coverage']:.1%} of {NOMINAL:.0%}", fontsize=10
        )
        axes.legend(loc="upper left", frameon=False, fontsize=8)
    count = max(len(part.measured) for part in held)
    _caption(figure, f"{profile.endpoint}: held-out prompts, n = {count}. {profile.provenance.sentence()}.")
    return figure


def drift_figure(profile: ModelProfile, rows: ProfileRows, held: Sequence[HeldOut]) -> Any:
    """Measured over predicted along the run, with the factor that follows it one request behind."""
    parts = [part for part in held if part.quantity != "output_tokens"]
    figure = _figure(9.0, 2.9 * len(parts) + 0.6)
    for place, part in enumerate(parts, start=1):
        axes = figure.add_subplot(len(parts), 1, place)
        ratio = part.measured / part.known_tokens
        curve = profile.time if part.quantity == "time_s" else profile.energy
        factor, _ = follow_drift(np.log(ratio), curve.spread, rows.concurrency[part.index])
        request = np.arange(len(ratio))
        at = _thin(len(ratio))
        axes.scatter(request[at], ratio[at], s=5, alpha=0.3, color=_POINT, edgecolors="none", label="request")
        label = f"drift factor, half-life {HALF_LIFE_REQUESTS:.0f} requests"
        axes.plot(request, factor, color=_LINE, linewidth=1.2, label=label)
        axes.axhline(1.0, color=_GUIDE, linewidth=0.8)
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
        axes.set_ylabel(f"measured / predicted\n{_label(profile, part)}")
        axes.set_xlabel("request, in order of time")
        axes.legend(loc="upper right", frameon=False, fontsize=8)
    _caption(
        figure, f"{profile.endpoint}: held-out prompts, n = {len(rows)}. {profile.provenance.sentence()}."
    )
    return figure


def _label(profile: ModelProfile, part: HeldOut) -> str:
    modelled = part.quantity == "energy_j" and profile.provenance.energy_modelled
    return _LABELS[part.quantity] + (", modelled" if modelled else "")


def _thin(count: int) -> slice:
    """All points, or every so many where a picture can't show more."""
    return slice(None, None, max(1, count // _TOO_MANY))


def _plain_ticks(*scales: Any) -> None:
    """1, 2 and 5 of each decade, as plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for scale in scales:
        scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        scale.set_minor_locator(NullLocator())


def _caption(figure: Any, text: str) -> None:
    figure.text(0.01, 0.01, text, fontsize=7.5, color=_GUIDE, wrap=True)


def _figure(width_in: float, height_in: float) -> Any:
    """A figure that needs no display. Raises MissingError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise MissingError("plots need matplotlib", remedy="pip install 'pointsman[plot]'") from error
    engine = ConstrainedLayoutEngine(rect=(0, 0.07, 1, 0.93))  # room for the caption
    figure = Figure(figsize=(width_in, height_in), layout=engine)
    FigureCanvasAgg(figure)
    return figure
