"""The figures of a report: for each kind of stragglers, curves, ages, a timeline and the matrix of waits."""

import re

from rubato_cli import text

from .charts.ages import Histogram, age_chart
from .charts.figure import Figure
from .charts.lines import Axis, Series, line_chart
from .charts.matrix import Matrix, matrix_chart
from .charts.timeline import Panel, timeline_chart
from .comparison import Comparison
from .grid import Contender
from .group import Group
from .run_figures import Point, RunFigures, Wait
from .statistics import mean
from .sweeps import tuning_figures, varied_figures

TIME, UPDATES = Axis("seconds of training"), Axis("updates of the weights")
TIMELINE_CLOCKS_SLOWEST, TIMELINE_CLOCKS_QUICKEST = 12, 60


def figures(comparison: Comparison, stragglers: str) -> list[Figure]:
    groups = [group for group in comparison.under(stragglers) if group.runs]
    prefix = re.sub(r"[^A-Za-z0-9]+", "-", stragglers)
    found, part = [], comparison.part
    if comparison.is_accuracy:
        accuracy = Axis(f"{part} accuracy", is_percent=True)
        found += _pair(comparison, groups, f"{prefix}-accuracy", f"{part.capitalize()} accuracy", accuracy,
                       lambda run: run.accuracy)
    else:
        found += _pair(comparison, groups, f"{prefix}-{part}-loss", f"{part.capitalize()} loss", Axis(f"{part} loss"),
                       lambda run: run.evaluated_loss)
    found += _pair(comparison, groups, f"{prefix}-loss", "Training loss", Axis("training loss"),
                   lambda run: run.train_loss, with_target=False)
    found += varied_figures(comparison, stragglers, prefix) + tuning_figures(comparison, stragglers, prefix)
    colours = _colours(comparison)
    found.append(age_chart(f"{prefix}-ages", "Ages of pushes",
                           [Histogram(group.name, colours[group.contender], group.ages) for group in groups]))
    found.append(_timeline(f"{prefix}-timeline", groups))
    found.append(matrix_chart(f"{prefix}-waits", "Who waited for whom, in percent of the run. Below, of all workers' time, what "
                              "was for nobody: weights and messages under way, and being done early",
                              [Matrix(group.name, group.runs[0].worker_names, group.wait_matrix(), group.train_s or 0.0,
                                      _nobodys(group)) for group in groups]))
    return found


def _pair(comparison: Comparison, groups: list[Group], id_: str, title: str, y_axis: Axis, curve,
          with_target: bool = True) -> list[Figure]:
    """Against time and against updates, over the same range of y."""
    target = comparison.target.value if with_target and comparison.target else None
    time = _series(comparison, groups, curve, lambda point: point.time_s)
    updates = _series(comparison, groups, curve, lambda point: float(point.updates))
    sound = [entry for entry, group in zip(time, groups) if comparison.final(group) is not None]
    y_range = _range(sound or time, target, y_axis.is_percent)
    return [line_chart(f"{id_}-time", f"{title} against time", TIME, y_axis, time, y_range, target),
            line_chart(f"{id_}-updates", f"{title} against updates", UPDATES, y_axis, updates, y_range, target)]


def _series(comparison: Comparison, groups: list[Group], curve, x_of) -> list[Series]:
    colours = _colours(comparison)
    return [Series(group.name, colours[group.contender], _over_seeds([curve(run) for run in group.runs], x_of))
            for group in groups]


def _colours(comparison: Comparison) -> dict[Contender, int]:
    return {contender: index for index, contender in enumerate(comparison.contenders)}


def _over_seeds(curves: list[list[Point]], x_of) -> list[tuple[float, float, float, float]]:
    """The n-th points of all seeds make one: the mean of where they are, and least, mean and greatest of what they
    say. Seeds differ little in where they are; a seed that ends early drops out."""
    points = []
    for index in range(max((len(curve) for curve in curves), default=0)):
        here = [curve[index] for curve in curves if index < len(curve)]
        values = [point.value for point in here]
        points.append((mean(map(x_of, here)), mean(values), min(values), max(values)))
    return points


def _range(series: list[Series], target: float | None, is_percent: bool) -> tuple[float, float]:
    """All of an accuracy. Of a loss, from the least to where the runs begin. What diverges leaves the figure."""
    lows = [point[2] for entry in series for point in entry.points]
    firsts = [entry.points[0][3] for entry in series if entry.points]
    highs = [point[3] for entry in series for point in entry.points] if is_percent else firsts
    if not lows:
        return 0.0, 1.0
    known = [*lows, *highs] + ([target] if target is not None else [])
    low, high = min(known), min(1.0, max(known)) if is_percent else max(highs)
    return low, max(high, low + 1e-6)


def _timeline(id_: str, groups: list[Group]) -> Figure:
    """The first seed of each mode, over the same window, once it is under way: as many clocks of the slowest mode as
    leave those of the quickest wide enough to be told apart."""
    runs = [(group, group.runs[0]) for group in groups]
    clocks = [clock_s for _, run in runs if (clock_s := _clock_s(run)) > 0] or [1.0]
    train_s = min((run.final.get("train_s", 0.0) for _, run in runs), default=0.0) or 1.0
    window_s = min(TIMELINE_CLOCKS_SLOWEST * max(clocks), TIMELINE_CLOCKS_QUICKEST * min(clocks), train_s)
    start = min(window_s, train_s - window_s)
    window = (start, start + window_s)
    panels = []
    for group, run in runs:
        waits = [wait for wait in run.waits if wait.to_s > window[0] and wait.from_s < window[1]]
        panels.append(Panel(group.name, run.worker_names, waits, "" if waits else _why_none(run, run.waits, window),
                            _idle(run)))
    return timeline_chart(id_, "Who waited for whom, over time", panels, window)


def _idle(run: RunFigures) -> str:
    """Of the whole run, not of the window alone."""
    time = run.worker_time
    return (f"of all workers' time, {text.percent(time.for_workers)} for each other, "
            f"{text.percent(time.for_weights + time.messages)} for weights and messages, {text.percent(time.done_early)} done early")


def _nobodys(group: Group) -> str:
    times = [run.worker_time for run in group.runs]
    messages = mean(time.for_weights + time.messages for time in times)
    return f"messages {text.percent(messages)}, done early {text.percent(mean(time.done_early for time in times))}"


def _why_none(run: RunFigures, waits: list[Wait], window: tuple[float, float]) -> str:
    if not any(run.wait_matrix.values()):
        return "nobody waited for anybody"
    if waits and waits[-1].to_s < window[0]:
        return "the list of waits ends before"
    return "nobody waited for 1 ms or more here"


def _clock_s(run: RunFigures) -> float:
    """How long a worker takes for a step, all told."""
    steps = [worker["steps"] for worker in run.workers]
    return run.final.get("train_s", 0.0) / max(steps) if steps and max(steps) else 0.0
