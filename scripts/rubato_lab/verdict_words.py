"""The comparison in words: which mode won where, and what its figures say of why."""

from rubato_cli import text

from . import ages
from .comparison import Comparison
from .comparison_table import seconds
from .group import Group

NEAR = 0.03  # three percent apart is no difference worth a word


def paragraph(comparison: Comparison, stragglers: str) -> str:
    groups = [group for group in comparison.under(stragglers) if group.runs]
    under = "Without stragglers" if stragglers == "none" else f"With {stragglers}"
    if not groups:
        return f"{under}, every run failed."
    said = [_race(comparison, groups, under), _finals(comparison, groups)]
    said += [_trouble(group) for group in groups if group.failures or 0 < group.diverged < len(group.runs)]
    said.append(_diverged([group for group in groups if group.diverged == len(group.runs)]))
    if not comparison.comparable:
        said.append("Times are not comparable: the processes had to share processors.")
    return " ".join(sentence for sentence in said if sentence)


def _race(comparison: Comparison, groups: list[Group], under: str) -> str:
    there = [group for group in groups if comparison.seeds_there(group) == len(group.outcomes)]
    if comparison.target is None:
        return f"{under}, no run was evaluated, so none can be timed."
    if not there:
        return f"{under}, no mode reached {comparison.target.words} with every seed."
    there.sort(key=comparison.time_to_target)
    first = there[0]
    said = (f"{under}, {first.name} was the first to reach {comparison.target.words}, "
            f"in {_at_most(comparison, first)}{seconds(comparison.time_to_target(first))}")
    if len(there) > 1:
        second = comparison.time_to_target(there[1]) / comparison.time_to_target(first) - 1
        said += f" ({there[1].name} " + (f"took {100 * second:.0f}% longer)" if second > NEAR else "took as long)")
    base = comparison.baseline(first)
    if base is first:
        return said + ". " + _why_bsp(comparison, first, groups)
    if base is None:
        return said + "."
    if comparison.speed_up(first) is None:
        return said + f"; {base.name} did not get there with every seed."
    return said + f", {comparison.speed_up(first):.2f} times as fast as {base.name}. " + _why(comparison, first, base)


def _why(comparison: Comparison, group: Group, base: Group) -> str:
    """A time is updates times the time of one: which of the two made the difference."""
    updates = comparison.updates_to_target(group) / comparison.updates_to_target(base)
    pace = group.updates_per_s / base.updates_per_s
    said = f"An update came every {_per_update(group)} against {_per_update(base)}, "
    said += f"and it took {_ratio(updates)} updates"
    said += f" ({text.count(comparison.updates_to_target(group))} against {text.count(comparison.updates_to_target(base))}): "
    if pace > 1 + NEAR and updates > 1 + NEAR:
        said += "it won by its pace, although older gradients made each update worth less."
    elif pace > 1 + NEAR:
        said += "it won by its pace, and its updates were worth as much."
    else:
        said += "it won by what each update was worth, not by its pace."
    said += f" Its workers had nothing to compute {text.percent(group.wait_share)} of the time ({base.name}: "
    said += f"{text.percent(base.wait_share)}); {_ages(group)}."
    return said


def _why_bsp(comparison: Comparison, base: Group, groups: list[Group]) -> str:
    others = [group for group in groups if group is not base and comparison.updates_to_target(group)]
    if not others:
        return "No other mode got there." if len(groups) > 1 else ""
    quick = max(others, key=lambda group: group.updates_per_s or 0.0)
    updates = comparison.updates_to_target(quick) / comparison.updates_to_target(base)
    pace = quick.updates_per_s / base.updates_per_s
    return (f"The quickest of the others, {quick.name}, made {pace:.2f} times as many updates in the same time and needed "
            f"{updates:.2f} times as many; {_ages(quick)}. Waiting cost {base.name} {text.percent(base.wait_share)} of its "
            "workers' time, less than old gradients would have.")


def _finals(comparison: Comparison, groups: list[Group]) -> str:
    known = [group for group in groups if comparison.final(group) is not None]
    if len(known) < 2:
        return ""
    known.sort(key=comparison.final, reverse=comparison.is_accuracy)
    best, worst = known[0], known[-1]
    figure = (lambda value: text.percent(value, 2)) if comparison.is_accuracy else (lambda value: text.fixed(value, 4))
    said = (f"In the end {best.name} stood best with {figure(comparison.final(best))} and {worst.name} worst with "
            f"{figure(comparison.final(worst))}")
    low, high = comparison.final_spread(best)
    other_low, other_high = comparison.final_spread(worst)
    if low <= other_high and other_low <= high and max(len(group.runs) for group in known) > 1:
        said += ", though their seeds overlap"
    return said + "."


def _trouble(group: Group) -> str:
    parts = [f"{len(group.failures)} of {len(group.outcomes)} failed"] if group.failures else []
    parts += [f"{group.diverged} of {len(group.outcomes)} diverged"] if group.diverged else []
    return f"Of {group.name}, {' and '.join(parts)}."


def _at_most(comparison: Comparison, group: Group) -> str:
    return "at most " if comparison.is_upper_limit(group) else ""


def _diverged(groups: list[Group]) -> str:
    """Those of which no run is left."""
    if not groups:
        return ""
    names = [group.name for group in groups]
    said = (", ".join(names[:-1]) + " and " if len(names) > 1 else "") + names[-1] + " diverged with every seed"
    oldest = max(groups, key=lambda group: ages.mean(group.ages) or 0.0)
    if ages.mean(oldest.ages):
        said += f" ({oldest.name}: {_ages(oldest)})"
    return said + ". Older gradients want a smaller rate: --grid optimizer.rate=... shows each mode at its best."


def _per_update(group: Group) -> str:
    return f"{1000 / group.updates_per_s:.3g} ms"


def _ratio(ratio: float) -> str:
    return "as many" if abs(ratio - 1) <= NEAR else f"{ratio:.2f} times as many"


def _ages(group: Group) -> str:
    mean = ages.mean(group.ages)
    if not mean:
        return "no gradient was older than the weights it met"
    return f"the mean age of a push was {mean:.1f} updates, the 99th percentile {ages.quantile(group.ages, 0.99)}"
