"""What every plot shares: size, palette, a caption that says where the data is from, labels that don't overlap.

Needs the extra `plot` (matplotlib). Figures are drawn without a display and without global state; equal
data gives equal files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pointsman.errors import BadRequest, MissingError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F3C8D", "#4D4D4D")
"""Okabe and Ito's colours, which colour-blind readers can tell apart, without its yellow; two more."""

MARKERS: Final = ("o", "s", "D", "^", "v", "P", "X", "*")
INK: Final = "#222222"
QUIET: Final = "#6B6B6B"
GRID: Final = "#E3E3E3"
FORMATS: Final = ("png", "svg")

_CAPTION_CHARACTERS_AN_INCH: Final = 15.5
_CAPTION_LINE_IN: Final = 0.16
_POINT_PX: Final = 11.0
_LINE_PX: Final = 3.0
_STYLE: Final[dict[Any, Any]] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "text.color": INK,
    "svg.hashsalt": "pointsman",
    "svg.fonttype": "path",
}
_OFFSETS: Final = tuple(
    (distance * dx, distance * dy)
    for distance in (10, 16, 26, 40, 60)
    for dx, dy in ((-0.7, 0.7), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (1, 0), (-1, 0), (0, 1), (0, -1))
)


def new_figure(width_in: float = 8.0, height_in: float = 5.2) -> Figure:
    """An empty figure in the common style. Raises: MissingError without matplotlib."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("plots need matplotlib", remedy="pip install 'pointsman[plot]'") from error
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_in, height_in), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def styled(figure: Figure, rows: int = 1, columns: int = 1) -> list[Axes]:
    """Axes of the common style, row by row."""
    from matplotlib import rc_context

    with rc_context(_STYLE):
        return list(figure.subplots(rows, columns, squeeze=False).ravel())


def title(axes: Axes, text: str) -> None:
    """A bold title at the left."""
    axes.set_title(text, loc="left", fontsize=12, fontweight="bold", color=INK, pad=12)


def caption(figure: Figure, text: str) -> float:
    """Wrapped lines under the plot; returns the share of the figure's height that they take."""
    width = int(figure.get_figwidth() * _CAPTION_CHARACTERS_AN_INCH)
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, width) or [""]]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=QUIET, linespacing=1.35)
    return (len(lines) + 1) * _CAPTION_LINE_IN / figure.get_figheight()


def save(figure: Figure, path: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write `path` with each format's suffix in place of its own; returns what was written.

    Raises: BadRequest for a format that is neither PNG nor SVG, or a folder that can't be written.
    """
    from matplotlib import rc_context

    if unknown := [name for name in formats if name not in FORMATS]:
        raise BadRequest(f"can't write {unknown[0]!r}", remedy=f"Choose {' or '.join(FORMATS)}")
    written = []
    for name in formats:
        target = path.with_suffix(f".{name}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with rc_context(_STYLE):
                figure.savefig(target, metadata={"Date": None} if name == "svg" else {"Software": None})
        except OSError as error:
            raise BadRequest(
                f"{target} can't be written: {error.strerror}", remedy="Choose another --out"
            ) from error
        written.append(target)
    return written


def label_points(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    lines: Sequence[tuple[Sequence[float], Sequence[float]]] = (),
) -> list[Annotation]:
    """Write a text beside each point so that no two overlap, nor cover a point or line, nor leave the axes.

    Positions around each point are tried from near to far; the least bad one is kept where all are taken.

    Args:
        axes: with final limits.
        points: in data coordinates.
        texts: one for each point.
        lines: (x, y) of each polyline that must stay readable.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    taken = [_around(axes.transData.transform(point).tolist(), _POINT_PX) for point in points]
    taken += [_around(place, _LINE_PX) for line in lines for place in _along(axes, *line)]
    made: list[Annotation] = []
    for point, text in zip(points, texts, strict=True):
        note = axes.annotate(
            text, point, xytext=(0, 0), textcoords="offset points", fontsize=9, color=INK, linespacing=1.2
        )
        best: tuple[float, tuple[float, float]] | None = None
        for dx, dy in _OFFSETS:
            _move(note, dx, dy)
            box = note.get_window_extent(renderer)
            cost = _overlap(box, taken) + _outside(box, axes.get_window_extent(renderer))
            if best is None or cost < best[0]:
                best = (cost, (dx, dy))
            if cost == 0:
                break
        assert best is not None
        _move(note, *best[1])
        taken.append(note.get_window_extent(renderer).padded(2))
        made.append(note)
    return made


def _move(note: Annotation, dx: float, dy: float) -> None:
    note.set_position((dx, dy))
    note.set_horizontalalignment("left" if dx > 1 else "right" if dx < -1 else "center")
    note.set_verticalalignment("bottom" if dy > 1 else "top" if dy < -1 else "center")


def _around(place: Sequence[float], half_px: float) -> Bbox:
    from matplotlib.transforms import Bbox

    x, y = place
    return Bbox.from_extents(x - half_px, y - half_px, x + half_px, y + half_px)


def _along(axes: Axes, x: Sequence[float], y: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Places in pixels, close together, along a polyline in data coordinates."""
    corners = axes.transData.transform(list(zip(x, y, strict=True))).tolist()
    for (x0, y0), (x1, y1) in pairwise(corners):
        steps = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / (2 * _LINE_PX)))
        for step in range(steps + 1):
            share = step / steps
            yield x0 + share * (x1 - x0), y0 + share * (y1 - y0)


def _overlap(box: Bbox, taken: Sequence[Bbox]) -> float:
    from matplotlib.transforms import Bbox

    shared = (Bbox.intersection(box, other) for other in taken)
    return float(sum(part.width * part.height for part in shared if part is not None))


def _outside(box: Bbox, frame: Bbox) -> float:
    from matplotlib.transforms import Bbox

    inside = Bbox.intersection(box, frame)
    return float(box.width * box.height - (inside.width * inside.height if inside else 0.0))
