"""The comparison in words: which mode won where. why_words says what its figures tell of why."""

from . import ages
from .comparison import Comparison
from .comparison_table import figure_words, seconds
from .group import Group
from .why_words import NEAR, ages_words, closest_words, samples_words, why_words

AGE_MIN = 1.0  # a mean age below it is no reason to speak of old gradients


def paragraph(comparison: Comparison, stragglers: str) -> str:
    groups = [group for group in comparison.under(stragglers) if group.runs]
    under = "Without stragglers" if stragglers == "none" else f"With {stragglers}"
    if not groups:
        return f"{under}, every run failed."
    if nothing := comparison.nothing_learned(groups):
        said = [f"{under}, {nothing}. So there is no winner."]
    elif comparison.comparable:
        said = [_race(comparison, groups, under), _finals(comparison, groups)]
    else:
        said = [_by_updates(comparison, groups, under), _finals(comparison, groups)]
    said += [_trouble(group) for group in groups if group.failures or 0 < group.diverged < len(group.runs)]
    said.append(_diverged(comparison, [group for group in groups if group.diverged == len(group.runs)]))
    return " ".join(sentence for sentence in said if sentence)


def _race(comparison: Comparison, groups: list[Group], under: str) -> str:
    if comparison.target is None:
        return f"{under}, no run can be timed: {comparison.why_no_target}."
    there = sorted(filter(comparison.all_there, groups), key=comparison.time_to_target)
    if not there:
        said = f"{under}, no mode reached {comparison.target.words} with every seed."
        return " ".join(filter(None, [said, closest_words(comparison, groups)]))
    first = there[0]
    said = (f"{under}, {first.name} was the first to reach {comparison.target.words}, "
            f"in {_at_most(comparison, first)}{seconds(comparison.time_to_target(first))}")
    if len(there) > 1:
        second = comparison.time_to_target(there[1]) / comparison.time_to_target(first) - 1
        said += f" ({there[1].name} " + (f"took {100 * second:.0f}% longer)" if second > NEAR else "took as long)")
    base = comparison.baseline(first)
    if base is not None and base is not first and comparison.all_there(base):
        said += f", {comparison.speed_up(first):.2f} times as fast as {base.name}"
    said += _fell_back(comparison, first)
    rival = base if base in there[1:] else there[1] if len(there) > 1 else None
    if rival is not None:
        return f"{said}. {why_words(comparison, first, rival)}"
    others = [group for group in groups if group is not first]
    alone = "No other mode got there with every seed." if others else ""
    return " ".join(filter(None, [f"{said}.", alone, closest_words(comparison, others, first)]))


def _by_updates(comparison: Comparison, groups: list[Group], under: str) -> str:
    """Where processes share processors, a second says nothing; an update still does."""
    said = f"{under}, times are not comparable, for the processes had to share processors: there is no winner by time."
    there = sorted(filter(comparison.all_there, groups), key=comparison.updates_to_target) if comparison.target else []
    if not there:
        return f"{said} No mode reached {comparison.target.words} with every seed." if comparison.target else said
    needed = "; ".join(f"{group.name} {samples_words(comparison, group)}" for group in there)
    return f"{said} Updates to {comparison.target.words}: {needed}."


def _finals(comparison: Comparison, groups: list[Group]) -> str:
    known = [group for group in groups if comparison.final(group) is not None]
    if len(known) < 2:
        return ""
    known.sort(key=comparison.final, reverse=comparison.is_accuracy)
    best, worst = known[0], known[-1]
    said = (f"In the end {best.name} stood best with {figure_words(comparison, comparison.final(best))} and {worst.name} "
            f"worst with {figure_words(comparison, comparison.final(worst))}")
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


def _fell_back(comparison: Comparison, group: Group) -> str:
    final, target = comparison.final(group), comparison.target
    if target.is_met(final) or abs(final / target.value - 1) <= NEAR:
        return ""
    return f"; but it did not stay there, and ended at {figure_words(comparison, final)}"


def _diverged(comparison: Comparison, groups: list[Group]) -> str:
    """Those of which no run is left."""
    if not groups:
        return ""
    names = [group.name for group in groups]
    said = (", ".join(names[:-1]) + " and " if len(names) > 1 else "") + names[-1] + " diverged with every seed"
    oldest = max(groups, key=lambda group: ages.mean(group.ages_before_divergence) or 0.0)
    is_old = (ages.mean(oldest.ages_before_divergence) or 0.0) >= AGE_MIN
    if is_old:
        said += f" ({oldest.name}: until then {ages_words(oldest.ages_before_divergence)})"
    if "optimizer.rate" in comparison.tuning.keys:
        return said + ", at the best rate of the grid."
    why = "Older gradients want a smaller rate" if is_old else "A smaller rate may be borne"
    return f"{said}. {why}: --grid optimizer.rate=... shows each mode at its best."
