"""Curves over time or updates: a line for the mean, a band from the least to the greatest of the seeds."""

from dataclasses import dataclass

from . import style
from .figure import Figure
from .scale import LogScale, Scale, padded, short, steps
from .svg import path, tag, width_of, words

WIDTH, LEFT, RIGHT, BOTTOM = 540, 58, 14, 42
PLOT_HEIGHT, LEGEND_ROW, LEGEND_LEFT = 230, 18, 18
MARKERS_MAX = 12  # a curve with more points is a line alone


@dataclass(frozen=True)
class Series:
    """`points`: (x, mean, least, greatest). `colour` counts from 0 and is the same for a mode in every figure."""

    name: str
    colour: int
    points: list[tuple[float, float, float, float]]


@dataclass(frozen=True)
class Axis:
    """With `values`, the axis is logarithmic and has these marks."""

    label: str
    is_percent: bool = False
    values: tuple[float, ...] = ()

    def words(self, value: float) -> str:
        return f"{100 * value:.4g}%" if self.is_percent else short(value)


def line_chart(id_: str, title: str, x_axis: Axis, y_axis: Axis, series: list[Series], y_range: tuple[float, float],
               target: float | None = None) -> Figure:
    legend, top = _legend(series)
    bottom = top + PLOT_HEIGHT
    x = _x_scale(x_axis, series)
    y = Scale(*padded(*y_range), bottom, top)
    clip = f"clip-{id_}"
    parts = [_grid(x, y, x_axis, y_axis, top, bottom),
             tag("clipPath", tag("rect", x=LEFT, y=top, width=WIDTH - LEFT - RIGHT, height=PLOT_HEIGHT), id=clip)]
    curves = [_target(target, y, y_axis)] if target is not None and y.low < target < y.high else []
    curves += [_curve(entry, x, y) for entry in series]
    parts.append(tag("g", *curves, clip_path=f"url(#{clip})"))
    data = {"kind": "lines", "title": title, "x": x_axis.label, "y": y_axis.label, "percent": y_axis.is_percent,
            "target": target, "logarithmic": bool(x_axis.values), "plot": {"x": x.data, "y": y.data},
            "series": [{"name": entry.name, "colour": entry.colour % style.COLOURS, "points": entry.points}
                       for entry in series]}
    return Figure(id_, title, legend + "".join(parts), WIDTH, bottom + BOTTOM, data)


def _x_scale(axis: Axis, series: list[Series]) -> Scale:
    if axis.values:
        room = (max(axis.values) / min(axis.values)) ** 0.06
        return LogScale(min(axis.values) / room, max(axis.values) * room, LEFT, WIDTH - RIGHT)
    high = max((point[0] for entry in series for point in entry.points), default=1.0) or 1.0
    return Scale(0.0, high * 1.02, LEFT, WIDTH - RIGHT)


def _legend(series: list[Series]) -> tuple[str, float]:
    """Above the plot, in as many rows as it takes; and where the plot begins."""
    parts, left, row = [], LEGEND_LEFT, 0
    for entry in series:
        width = 32 + width_of(entry.name) + 14
        if left + width > WIDTH and left > LEGEND_LEFT:
            left, row = LEGEND_LEFT, row + 1
        middle = 12 + row * LEGEND_ROW
        parts.append(tag("g", _stroke(path([(left, middle), (left + 26, middle)]), entry.colour),
                         _marker(left + 13, middle, entry.colour), words(entry.name, left + 32, middle + 4),
                         class_=f"c{entry.colour % style.COLOURS}"))
        left += width
    return "".join(parts), 28 + row * LEGEND_ROW


def _grid(x: Scale, y: Scale, x_axis: Axis, y_axis: Axis, top: float, bottom: float) -> str:
    parts = []
    for value in steps(y.low, y.high):
        parts.append(tag("path", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))]), class_="rule"))
        parts.append(words(y_axis.words(value), LEFT - 7, y(value) + 4, text_anchor="end", class_="soft"))
    for value in x_axis.values or steps(x.low, x.high, 6):
        parts.append(tag("path", d=path([(x(value), bottom), (x(value), bottom + 4)]), class_="axis"))
        parts.append(words(x_axis.words(value), x(value), bottom + 18, text_anchor="middle", class_="soft"))
    parts.append(tag("path", d=path([(LEFT, top), (LEFT, bottom), (WIDTH - RIGHT, bottom)]), class_="axis"))
    parts.append(words(x_axis.label, (LEFT + WIDTH - RIGHT) / 2, bottom + 36, text_anchor="middle"))
    middle = (top + bottom) / 2
    parts.append(words(y_axis.label, 13, middle, text_anchor="middle", transform=f"rotate(-90 13 {middle:.0f})"))
    return "".join(parts)


def _target(value: float, y: Scale, axis: Axis) -> str:
    return (tag("path", d=path([(LEFT, y(value)), (WIDTH - RIGHT, y(value))]), class_="target")
            + words(f"target {axis.words(value)}", LEFT + 6, y(value) - 5, class_="small"))


def _curve(entry: Series, x: Scale, y: Scale) -> str:
    if not entry.points:
        return ""
    band = [(x(px), y(high)) for px, _, _, high in entry.points]
    band += [(x(px), y(low)) for px, _, low, _ in reversed(entry.points)]
    line = [(x(px), y(mean)) for px, mean, _, _ in entry.points]
    parts = [tag("path", d=path(band, close=True), class_="band")] if len(line) > 1 else []
    parts.append(_stroke(path(line), entry.colour))
    if len(line) <= MARKERS_MAX:
        parts += [_marker(px, py, entry.colour) for px, py in line]
    return tag("g", *parts, class_=f"c{entry.colour % style.COLOURS}")


def _stroke(d: str, colour: int) -> str:
    return tag("path", d=d, class_="curve", stroke_dasharray=style.DASHES[colour % len(style.DASHES)])


def _marker(x: float, y: float, colour: int) -> str:
    """A circle, a square, a triangle or a diamond."""
    shape = colour % 4
    if shape == 0:
        return tag("circle", cx=float(x), cy=float(y), r=4, class_="mark")
    corners = {1: [(-3.6, -3.6), (3.6, -3.6), (3.6, 3.6), (-3.6, 3.6)], 2: [(0, -4.6), (4.4, 3.4), (-4.4, 3.4)],
               3: [(0, -5), (5, 0), (0, 5), (-5, 0)]}[shape]
    return tag("path", d=path([(x + dx, y + dy) for dx, dy in corners], close=True), class_="mark")
