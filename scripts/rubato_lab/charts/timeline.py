"""Who waited for whom over a window of time: a panel for each mode, a lane for each worker, a bar where it waited, in
the colour of the worker that it waited for."""

from dataclasses import dataclass

from ..run_figures import Wait
from . import style
from .figure import Figure
from .scale import Scale, short, steps
from .svg import STRONG_LETTER, path, tag, width_of, words

WIDTH, LEFT, RIGHT = 1080, 92, 12
LANE, LANE_GAP, HEAD, FOOT, LEGEND = 13, 3, 24, 14, 26
LANES_MAX = 16


@dataclass(frozen=True)
class Panel:
    """`workers` in rank order; `note` where there is nothing to draw; `idle`: where all workers' time went, in words."""

    name: str
    workers: list[str]
    waits: list[Wait]
    note: str = ""
    idle: str = ""


def timeline_chart(id_: str, title: str, panels: list[Panel], window: tuple[float, float]) -> Figure:
    workers = max((panel.workers for panel in panels), key=len, default=[])
    x = Scale(*window, LEFT, WIDTH - RIGHT)
    parts, top = [_legend(workers)], float(LEGEND)
    for panel in panels:
        body, height = _panel(panel, x, top)
        parts.append(body)
        top += height
    parts += [words(short(value), x(value), top + 12, text_anchor="middle", class_="soft")
              for value in steps(*window, 8)]
    parts.append(words("seconds since training began", (LEFT + WIDTH - RIGHT) / 2, top + 30, text_anchor="middle"))
    data = {"kind": "timeline", "title": title, "window": list(window), "workers": workers,
            "panels": [{"name": panel.name, "note": panel.note, "idle": panel.idle,
                        "waits": [[wait.worker, wait.culprit, wait.from_s, wait.to_s] for wait in panel.waits]}
                       for panel in panels]}
    return Figure(id_, title, "".join(parts), WIDTH, top + 38, data)


def colour_of(worker: str) -> int:
    return int(worker.rsplit("-", 1)[1]) % style.COLOURS


def _legend(workers: list[str]) -> str:
    parts, left = [words("waits for", LEFT - 8, 13, text_anchor="end", class_="soft")], LEFT
    for worker in workers[:style.COLOURS]:
        parts.append(tag("g", tag("rect", x=left, y=4, width=14, height=10, class_="fill"),
                         words(worker, left + 18, 13), class_=f"c{colour_of(worker)}"))
        left += 30 + 6.8 * len(worker)
    if len(workers) > style.COLOURS:
        parts.append(words("and so on: colours come again", left, 13, class_="soft"))
    return "".join(parts)


def _panel(panel: Panel, x: Scale, top: float) -> tuple[str, float]:
    parts = [words(panel.name, 4, top + 16, class_="strong")]
    shown = panel.workers[:LANES_MAX]
    more = f"{len(panel.workers) - len(shown)} more workers are not drawn" if len(panel.workers) > len(shown) else ""
    said = "; ".join(filter(None, [panel.note or more, panel.idle]))
    parts.append(words(said, max(LEFT, 4 + width_of(panel.name, STRONG_LETTER) + 8), top + 16, class_="soft"))
    if panel.note:
        return "".join(parts), HEAD + 2
    for lane, worker in enumerate(shown):
        y = top + HEAD + lane * (LANE + LANE_GAP)
        parts.append(words(worker, LEFT - 8, y + LANE - 2, text_anchor="end", class_="small"))
        parts.append(tag("rect", x=float(LEFT), y=y, width=float(WIDTH - LEFT - RIGHT), height=LANE, class_="lane"))
    for wait in panel.waits:
        if wait.worker not in shown:
            continue
        low, high = max(wait.from_s, x.low), min(wait.to_s, x.high)
        y = top + HEAD + shown.index(wait.worker) * (LANE + LANE_GAP)
        said = f"{panel.name}: {wait.worker} waited {1000 * (wait.to_s - wait.from_s):,.0f} ms for {wait.culprit}"
        parts.append(tag("rect", x=x(low), y=y, width=max(x(high) - x(low), 0.7), height=LANE,
                         class_=f"fill c{colour_of(wait.culprit)}", data_tip=f"{said}, from {wait.from_s:.3f} s on"))
    bottom = top + HEAD + len(shown) * (LANE + LANE_GAP)
    parts += [tag("path", d=path([(x(value), bottom), (x(value), bottom + 4)]), class_="axis")
              for value in steps(x.low, x.high, 8)]
    return "".join(parts), bottom - top + FOOT
