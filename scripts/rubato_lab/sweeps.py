"""Figures against a key instead of time: what the grid tried, and how the contenders' runs change with a varied key."""

from dataclasses import replace

from .charts.figure import Figure
from .charts.lines import Axis, Series, line_chart
from .comparison import Comparison
from .grid import Contender
from .group import Group
from .statistics import mean, spread

Finals = tuple[float, float, float]  # mean, least, greatest of the seeds


def tuning_figures(comparison: Comparison, stragglers: str, prefix: str) -> list[Figure]:
    """For each key of the grid: the final figure of every value, at the best point that has it. Points where a seed
    failed or diverged are left out."""
    tuning, found = comparison.tuning, []
    for index, key in enumerate(tuning.keys):
        values = _numbers(dict(group.point)[key] for group in tuning.groups)
        if not values:
            continue
        lines = {}
        for contender in comparison.contenders:
            points = {}
            for group in sorted(tuning.of(contender, stragglers), key=lambda group: group.rank(tuning.is_accuracy)):
                if (finals := _finals(group, tuning.is_accuracy)) is not None:
                    points[float(dict(group.point)[key])] = finals
            lines[contender.name] = points
        what = "accuracy" if tuning.is_accuracy else "loss"
        found.append(_chart(f"{prefix}-grid-{index}", f"Final {tuning.part} {what} at each {key} tried", Axis(key, values=values),
                            Axis(f"final {tuning.part} {what}", is_percent=tuning.is_accuracy), lines))
    return found


def varied_figures(comparison: Comparison, stragglers: str, prefix: str) -> list[Figure]:
    """For each varied key that is a number: final figures, and updates to the target, of all that else is the same."""
    groups, found = comparison.under(stragglers), []
    for index, (key, _) in enumerate(groups[0].contender.variation):
        values = _numbers(dict(group.contender.variation)[key] for group in groups)
        if not values:
            continue
        finals, updates = {}, {}
        for group in groups:
            name, x = _without(group.contender, key).name, float(dict(group.contender.variation)[key])
            if (final := _finals(group, comparison.is_accuracy)) is not None:
                finals.setdefault(name, {})[x] = final
            if (needed := _updates(comparison, group)) is not None:
                updates.setdefault(name, {})[x] = needed
        what = "accuracy" if comparison.is_accuracy else "loss"
        axis = Axis(key, values=values)
        found.append(_chart(f"{prefix}-varied-{index}", f"Final {comparison.part} {what} against {key}", axis,
                            Axis(f"final {comparison.part} {what}", is_percent=comparison.is_accuracy), finals))
        if updates:
            found.append(_chart(f"{prefix}-varied-{index}-updates", f"Updates to {comparison.target.words} against {key}", axis,
                                Axis("updates of the weights"), updates))
    return found


def _numbers(texts) -> tuple[float, ...]:
    """In order, where they are numbers above 0 and not all the same: something to draw."""
    try:
        values = sorted(set(map(float, texts)))
    except ValueError:
        return ()
    return tuple(values) if len(values) > 1 and values[0] > 0 else ()


def _without(contender: Contender, key: str) -> Contender:
    return replace(contender, variation=tuple(setting for setting in contender.variation if setting[0] != key))


def _finals(group: Group, is_accuracy: bool) -> Finals | None:
    """Nothing where a seed failed or diverged."""
    if group.rank(is_accuracy) == float("-inf"):
        return None
    finals = group.finals(is_accuracy)
    return mean(finals), *spread(finals)


def _updates(comparison: Comparison, group: Group) -> Finals | None:
    """Nothing where a seed did not get there."""
    points = group.reached(comparison.target)
    if not points or None in points or group.failures:
        return None
    updates = [float(point.updates) for point in points]
    return mean(updates), *spread(updates)


def _chart(id_: str, title: str, x_axis: Axis, y_axis: Axis, lines: dict[str, dict[float, Finals]]) -> Figure:
    series = [Series(name, colour, [(x, *points[x]) for x in sorted(points)])
              for colour, (name, points) in enumerate(lines.items())]
    values = [value for entry in series for point in entry.points for value in point[2:]]
    return line_chart(id_, title, x_axis, y_axis, series, (min(values), max(values)) if values else (0.0, 1.0))
