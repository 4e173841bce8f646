"""Histograms of ages, a small one for each mode, all over the same ages."""

from dataclasses import dataclass

from .. import ages
from . import style
from .figure import Figure
from .scale import Scale, arranged, columns_of, steps
from .svg import SMALL_LETTER, path, tag, width_of, words

COLUMN, ROW, GAP, LEFT, TOP, BOTTOM = 250, 132, 16, 40, 22, 30
LABELS_MAX = 10


@dataclass(frozen=True)
class Histogram:
    name: str
    colour: int
    counts: dict[int, int]


def age_chart(id_: str, title: str, histograms: list[Histogram]) -> Figure:
    shown = [entry for entry in histograms if entry.counts]
    bins = ages.bins(max([3, *(age for entry in shown for age in entry.counts)]))
    binned = [(entry, ages.binned(entry.counts, bins)) for entry in shown]
    wide = max([COLUMN, *(_title_width(entry) for entry in shown)])
    columns, rows = arranged(len(shown), columns_of(wide + GAP))
    parts = [tag("g", _panel(entry, counted, wide), transform=f"translate({column * (wide + GAP)} {row * (ROW + GAP)})")
             for index, (entry, counted) in enumerate(binned) for row, column in [divmod(index, columns)]]
    data = {"kind": "ages", "title": title,
            "histograms": [{"name": entry.name, "colour": entry.colour % style.COLOURS, "bins": counted,
                            "mean": ages.mean(entry.counts), "p99": ages.quantile(entry.counts, 0.99),
                            "max": max(entry.counts)} for entry, counted in binned]}
    return Figure(id_, title, "".join(parts), columns * (wide + GAP), rows * (ROW + GAP) + 4, data)


def _figures(entry: Histogram) -> str:
    return f"mean {ages.mean(entry.counts):.1f}, p99 {ages.quantile(entry.counts, 0.99)}"


def _title_width(entry: Histogram) -> float:
    return LEFT + width_of(entry.name) + 10 + width_of(_figures(entry), SMALL_LETTER) + 6


def _panel(entry: Histogram, bins: list[tuple[int, int, int]], wide: float) -> str:
    total = sum(entry.counts.values())
    x = Scale(0, len(bins), LEFT, wide - 6)
    y = Scale(0, max(count for _, _, count in bins) / total * 1.08, ROW - BOTTOM, TOP)
    parts = [words(entry.name, LEFT, 12), words(_figures(entry), wide - 6, 12, text_anchor="end", class_="soft small")]
    for value in steps(0, y.high, 3)[1:]:
        parts.append(tag("path", d=path([(LEFT, y(value)), (wide - 6, y(value))]), class_="rule"))
        parts.append(words(f"{100 * value:.3g}%", LEFT - 5, y(value) + 4, text_anchor="end", class_="soft small"))
    every = -(-len(bins) // LABELS_MAX)
    for index, (low, high, count) in enumerate(bins):
        if index % every == 0:
            parts.append(words(str(low), x(index + 0.5), ROW - BOTTOM + 14, text_anchor="middle", class_="soft small"))
        if count > 0:
            parts.append(_bar(entry.name, low, high, count / total, x(index), x(index + 1), y))
    parts.append(tag("path", d=path([(LEFT, y(0)), (wide - 6, y(0))]), class_="axis"))
    parts.append(words("age (updates), share of pushes", (LEFT + wide) / 2, ROW - 2, text_anchor="middle",
                       class_="small soft"))
    return tag("g", *parts, class_=f"c{entry.colour % style.COLOURS}")


def _bar(name: str, low: int, high: int, share: float, left: float, right: float, y: Scale) -> str:
    said = f"{name}: age {low}" + (f" to {high}" if high > low else "") + f": {100 * share:.2f}% of pushes"
    return tag("rect", x=left + 0.5, y=min(y(share), y(0) - 0.6), width=max(right - left - 1, 0.8),
               height=max(y(0) - y(share), 0.6), class_="fill", data_tip=said)
